// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

package wasmtime

// #include "binding.h"
import "C"

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/check"
)

// maxInstances is how many instances one process may have at the same time. A
// Keep has one; tests have some.
const maxInstances = 64

// live are the instances by the number that C knows them by: C holds no
// pointer to anything of Go but the pinned engine.Quick.
var live [maxInstances]atomic.Pointer[instance]

func register(in *instance) (uint32, error) {
	for i := range live {
		if live[i].CompareAndSwap(nil, in) {
			return uint32(i), nil
		}
	}
	return 0, fmt.Errorf("%d instances are alive, no more are possible", maxInstances)
}

func unregister(id uint32, in *instance) { live[id].CompareAndSwap(in, nil) }

// enarxHostCall runs host function number index of an instance. The guest's
// memory stays where it is meanwhile. Anything but 0 ends the guest, and
// instance.reason says why.
//
//export enarxHostCall
func enarxHostCall(id, index C.uint32_t, stack *C.uint64_t, data *C.uint8_t, size C.uint64_t) (failed C.int) {
	in := live[id].Load()
	in.mem = memory{(*byte)(data), uint64(size)}
	defer func() {
		if p := recover(); p != nil {
			in.reason = panicked(p)
			failed = 1
		}
	}()
	in.host[index].Call(in.ctx, &in.mem, unsafe.Slice((*uint64)(stack), check.MaxValues))
	return 0
}

// panicked is what a panic in a host function means: the way in which a guest
// exits, or an error of the host function, which ends the guest and not the
// process.
func panicked(p any) error {
	if exit, ok := p.(*engine.ExitError); ok {
		return exit
	}
	return &engine.TrapError{Reason: check.Clean(fmt.Sprint(p) + " (in a host function)")}
}

// memory is the guest's memory during one call of a host function.
type memory struct {
	data *byte
	size uint64
}

func (m *memory) Bytes(off, n uint32) ([]byte, bool) {
	if m.data == nil || uint64(off)+uint64(n) > m.size {
		return nil, false
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(m.data), off)), n), true
}

func (m *memory) Size() uint64 { return m.size }

// The compiler holds engine.Quick and its view in C together: none of these
// differences can be negative.
const (
	_ = uint(unsafe.Sizeof(engine.Quick{}) - C.sizeof_enarx_quick)
	_ = uint(C.sizeof_enarx_quick - unsafe.Sizeof(engine.Quick{}))
	_ = uint(unsafe.Offsetof(engine.Quick{}.RandomLeft) - unsafe.Offsetof(C.enarx_quick{}.random_left))
	_ = uint(unsafe.Offsetof(engine.Quick{}.FDs) - unsafe.Offsetof(C.enarx_quick{}.fds))
	_ = uint(unsafe.Offsetof(C.enarx_quick{}.fds) - unsafe.Offsetof(engine.Quick{}.FDs))
	_ = uint(unsafe.Offsetof(engine.Quick{}.Random) - unsafe.Offsetof(C.enarx_quick{}.random))
	_ = uint(unsafe.Offsetof(C.enarx_quick{}.random) - unsafe.Offsetof(engine.Quick{}.Random))
)
