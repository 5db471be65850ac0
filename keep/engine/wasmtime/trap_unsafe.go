// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

package wasmtime

// #include "binding.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/check"
)

// maxFrames is how many calls of a trap's trace are shown.
const maxFrames = 30

// reasons are the words for the traps of the core specification, the same on
// every engine.
var reasons = map[C.int]string{
	C.WASMTIME_TRAP_CODE_STACK_OVERFLOW:                "stack overflow",
	C.WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS:          "out of bounds memory access",
	C.WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS:           "invalid table access",
	C.WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL:         "invalid table access",
	C.WASMTIME_TRAP_CODE_BAD_SIGNATURE:                 "indirect call type mismatch",
	C.WASMTIME_TRAP_CODE_INTEGER_OVERFLOW:              "integer overflow",
	C.WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO:      "integer divide by zero",
	C.WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER:     "invalid conversion to integer",
	C.WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:      "unreachable",
	C.WASMTIME_TRAP_CODE_HEAP_MISALIGNED:               "unaligned atomic",
	C.WASMTIME_TRAP_CODE_ATOMIC_WAIT_NON_SHARED_MEMORY: "expected shared memory",
	C.WASMTIME_TRAP_CODE_NULL_REFERENCE:                "null reference",
}

// end sorts the end of a call into an exit that a host function asked for, a
// trap, and nothing. It frees what it is given.
func (in *instance) end(err *C.wasmtime_error_t, trap *C.wasm_trap_t) error {
	reason := in.reason
	in.reason = nil
	var text string
	if err != nil {
		text = message(err)
	}
	if trap == nil {
		if reason == nil && err != nil {
			return &engine.TrapError{Reason: check.Clean(text)}
		}
		return reason
	}
	trace := traceOf(trap)
	if words, ok := reasons[C.enarx_trap_code(trap)]; ok {
		text = words
	} else {
		var s C.wasm_byte_vec_t
		C.wasm_trap_message(trap, &s)
		text, _, _ = strings.Cut(nameOf((*C.wasm_name_t)(&s)), "\n")
		C.wasm_byte_vec_delete(&s)
	}
	C.wasm_trap_delete(trap)
	switch r := reason.(type) {
	case nil:
		return &engine.TrapError{Reason: check.Clean(text), Trace: trace}
	case *engine.TrapError:
		r.Trace = trace
		return r
	}
	return reason
}

// traceOf is the guest's stack, one line for each call, innermost first.
func traceOf(trap *C.wasm_trap_t) string {
	var frames C.wasm_frame_vec_t
	C.wasm_trap_trace(trap, &frames)
	defer C.wasm_frame_vec_delete(&frames)
	var b strings.Builder
	for i, f := range unsafe.Slice(frames.data, frames.size) {
		if i == maxFrames {
			fmt.Fprintf(&b, "\t... and %d more\n", int(frames.size)-maxFrames)
			break
		}
		name := fmt.Sprintf("$%d", uint32(C.wasm_frame_func_index(f)))
		if s := C.wasmtime_frame_func_name(f); s != nil {
			name = check.Clean(nameOf(s))
		}
		fmt.Fprintf(&b, "\t%s at %#x\n", name, uint64(C.wasm_frame_module_offset(f)))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
