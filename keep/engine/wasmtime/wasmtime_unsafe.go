// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

package wasmtime

// #cgo CFLAGS: -O2 -Wall -Werror
// #cgo LDFLAGS: -lwasmtime -lm -ldl -lpthread
// #include "binding.h"
// #include <stdlib.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	// The module that brings the library: go.mod and go.sum pin it, and
	// the build depends on it. The package has no code.
	_ "github.com/bytecodealliance/wasmtime-go/v39/build/include"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/check"
)

const (
	pageSize = 65536
	maxPages = 65536
	// stackBytes is how much stack a guest may use. Threads have 6 MiB
	// (binding.c), the first one usually 8; the rest is for what the guest
	// calls, which runs on the same stack.
	stackBytes = 4 << 20
)

// Options say how an engine works. The zero value allows the full 4 GiB of
// memory.
type Options struct {
	// Limits bound the instance. A module that declares more memory than
	// that to begin with is refused; growing past it fails in the guest.
	Limits engine.Limits
}

// New makes an engine.
func New(o Options) (engine.Engine, error) {
	pages := o.Limits.MemoryBytes / pageSize
	if o.Limits.MemoryBytes == 0 || pages > maxPages {
		pages = maxPages
	}
	if pages == 0 {
		return nil, fmt.Errorf("memory limit of %d bytes is less than one page (%d bytes)", o.Limits.MemoryBytes, pageSize)
	}
	e := &eng{c: C.enarx_engine_new(stackBytes), memory: pages * pageSize}
	if e.c == nil {
		return nil, errors.New("starting the engine: the library refused its configuration")
	}
	return e, nil
}

type eng struct {
	c      *C.wasm_engine_t
	memory uint64 // bytes that an instance may have
	busy   bool   // an instance is alive
	mods   []*module
}

func (e *eng) Name() string { return "wasmtime " + Version }

func (e *eng) Close() error {
	for _, m := range e.mods {
		if m.prepared != nil {
			m.prepared.Close()
		}
		C.wasmtime_module_delete(m.c)
	}
	e.mods = nil
	if e.c != nil {
		C.wasm_engine_delete(e.c)
		e.c = nil
	}
	return nil
}

func (e *eng) Compile(_ context.Context, wasm []byte) (engine.Module, error) {
	if err := check.Module(wasm); err != nil {
		return nil, err
	}
	m := &module{e: e}
	if err := C.enarx_module_new(e.c, (*C.uint8_t)(unsafe.SliceData(wasm)), C.size_t(len(wasm)), &m.c); err != nil {
		return nil, fmt.Errorf("module is not valid: %s", check.Clean(message(err)))
	}
	if err := m.describe(); err != nil {
		C.wasmtime_module_delete(m.c)
		return nil, err
	}
	e.mods = append(e.mods, m)
	return m, nil
}

// message is the text of an error, which it frees.
func message(err *C.wasmtime_error_t) string {
	var s C.wasm_name_t
	C.wasmtime_error_message(err, &s)
	C.wasmtime_error_delete(err)
	text := nameOf(&s)
	C.wasm_byte_vec_delete((*C.wasm_byte_vec_t)(&s))
	return text
}

func nameOf(s *C.wasm_name_t) string {
	if s == nil || s.size > math.MaxInt32 {
		return ""
	}
	return strings.TrimSuffix(C.GoStringN((*C.char)(unsafe.Pointer(s.data)), C.int(s.size)), "\x00")
}

// module is a compiled module. What it imports and exports is read once.
type module struct {
	e        *eng
	c        *C.wasmtime_module_t
	imports  []engine.Import
	foreign  string // an import that is no function, or ""
	exports  map[string]engine.Import
	memory   string // the name under which the module exports its memory
	hasMem   bool
	prepared *instance // made by Prepare, taken by Instantiate
}

func (m *module) describe() error {
	var imports C.wasm_importtype_vec_t
	C.wasmtime_module_imports(m.c, &imports)
	defer C.wasm_importtype_vec_delete(&imports)
	memories := 0
	for _, t := range unsafe.Slice(imports.data, imports.size) {
		ext := C.wasm_importtype_type(t)
		mod, name := nameOf(C.wasm_importtype_module(t)), nameOf(C.wasm_importtype_name(t))
		switch f := C.wasm_externtype_as_functype_const(ext); {
		case f != nil:
			p, r := signature(f)
			m.imports = append(m.imports, engine.Import{Module: mod, Name: name, Params: p, Results: r})
		case C.wasm_externtype_kind(ext) == C.WASM_EXTERN_MEMORY:
			memories++
		default:
			m.foreign = fmt.Sprintf("%q of module %q", check.Clean(name), check.Clean(mod))
		}
	}
	if memories > 0 {
		return fmt.Errorf("module imports %d memories, a workload has to bring its own", memories)
	}
	var exports C.wasm_exporttype_vec_t
	C.wasmtime_module_exports(m.c, &exports)
	defer C.wasm_exporttype_vec_delete(&exports)
	m.exports = make(map[string]engine.Import)
	for _, t := range unsafe.Slice(exports.data, exports.size) {
		ext, name := C.wasm_exporttype_type(t), nameOf(C.wasm_exporttype_name(t))
		if f := C.wasm_externtype_as_functype_const(ext); f != nil {
			p, r := signature(f)
			m.exports[name] = engine.Import{Name: name, Params: p, Results: r}
		} else if mem := C.wasm_externtype_as_memorytype_const(ext); mem != nil && !m.hasMem {
			m.memory, m.hasMem = name, true
			if least := uint64(C.wasmtime_memorytype_minimum(mem)); least > m.e.memory/pageSize {
				return fmt.Errorf("module is not valid: its memory begins with %d pages, at most %d are allowed", least, m.e.memory/pageSize)
			}
		}
	}
	return nil
}

func signature(f *C.wasm_functype_t) (params, results []engine.ValType) {
	return types(C.wasm_functype_params(f)), types(C.wasm_functype_results(f))
}

// types translates the library's names of value types.
func types(v *C.wasm_valtype_vec_t) []engine.ValType {
	out := make([]engine.ValType, 0, v.size)
	for _, t := range unsafe.Slice(v.data, v.size) {
		switch k := C.wasm_valtype_kind(t); k {
		case C.WASM_I32:
			out = append(out, engine.I32)
		case C.WASM_I64:
			out = append(out, engine.I64)
		case C.WASM_F32:
			out = append(out, engine.F32)
		case C.WASM_F64:
			out = append(out, engine.F64)
		default:
			out = append(out, engine.ValType(0x40|k&0x3f)) // no host function has it
		}
	}
	return out
}

func kinds(ts []engine.ValType) ([]C.uint8_t, error) {
	if len(ts) > check.MaxValues {
		return nil, fmt.Errorf("it has %d values, at most %d are possible", len(ts), check.MaxValues)
	}
	out := make([]C.uint8_t, len(ts), check.MaxValues)
	for i, t := range ts {
		switch t {
		case engine.I32:
			out[i] = C.WASM_I32
		case engine.I64:
			out[i] = C.WASM_I64
		case engine.F32:
			out[i] = C.WASM_F32
		case engine.F64:
			out[i] = C.WASM_F64
		default:
			return nil, fmt.Errorf("it has a value of type %#x", t)
		}
	}
	return out, nil
}

func (m *module) Imports() []engine.Import { return slices.Clone(m.imports) }

func (m *module) HasExport(name string) bool {
	_, ok := m.exports[name]
	return ok
}

func (m *module) Prepare(_ context.Context, host []engine.HostFunc) error {
	if m.e.busy {
		return errors.New("the engine already runs an instance; close it first or make another engine")
	}
	if m.foreign != "" {
		return fmt.Errorf("module imports %s, which does not exist here: only functions can be imported", m.foreign)
	}
	wanted, err := check.Match(m.imports, host)
	if err != nil {
		return err
	}
	in := &instance{e: m.e, m: m, host: wanted}
	if err := in.offer(); err != nil {
		in.Close()
		return err
	}
	m.e.busy = true
	m.prepared = in
	return nil
}

func (m *module) Instantiate(ctx context.Context, host []engine.HostFunc) (engine.Instance, error) {
	if m.prepared == nil {
		if err := m.Prepare(ctx, host); err != nil {
			return nil, err
		}
	}
	in := m.prepared
	m.prepared = nil
	if err := in.start(ctx); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// instance is a store with one instance in it, and the host functions.
type instance struct {
	e      *eng
	m      *module
	c      *C.enarx_instance
	id     uint32
	host   []*engine.HostFunc
	pinner runtime.Pinner
	mem    memory
	ctx    context.Context // of the running call
	reason error           // why a host function ended the guest
}

// offer makes the host functions callable.
func (in *instance) offer() error {
	id, err := register(in)
	if err != nil {
		return err
	}
	in.id = id
	in.c = C.enarx_instance_new(in.e.c, C.uint32_t(id), C.size_t(len(in.m.imports)), C.int64_t(in.e.memory), check.MaxTableElements)
	if in.c == nil {
		return errors.New("making an instance: out of memory")
	}
	index := make(map[[2]string]int, len(in.host))
	for i, h := range in.host {
		index[[2]string{h.Module, h.Name}] = i
		if q := h.Quick; q != nil && in.c.quick == nil {
			in.pinner.Pin(q)
			q.Active = 1
			in.c.quick = (*C.enarx_quick)(unsafe.Pointer(q))
		}
	}
	for i, imp := range in.m.imports {
		n := index[[2]string{imp.Module, imp.Name}]
		params, err := kinds(imp.Params)
		if err != nil {
			return fmt.Errorf("offering function %q of module %q: %w", imp.Name, imp.Module, err)
		}
		results, err := kinds(imp.Results)
		if err != nil {
			return fmt.Errorf("offering function %q of module %q: %w", imp.Name, imp.Module, err)
		}
		if !C.enarx_offer(in.c, C.size_t(i), C.uint32_t(n), C.int(in.host[n].Kind), unsafe.SliceData(params), C.size_t(len(params)),
			unsafe.SliceData(results), C.size_t(len(results))) {
			return fmt.Errorf("offering function %q of module %q: the engine refused it", imp.Name, imp.Module)
		}
	}
	if in.m.hasMem {
		name := C.CString(in.m.memory)
		defer C.free(unsafe.Pointer(name))
		if !C.enarx_name_memory(in.c, name, C.size_t(len(in.m.memory))) {
			return errors.New("making an instance: out of memory")
		}
	}
	return nil
}

func (in *instance) start(ctx context.Context) error {
	in.ctx = ctx
	var trap *C.wasm_trap_t
	err := C.enarx_start(in.c, in.m.c, &trap)
	if trap != nil && in.reason == nil && C.enarx_trap_frames(trap) == 0 {
		// No code of the guest ran: its segments do not fit.
		return fmt.Errorf("instantiating the module: %s", in.end(err, trap))
	}
	if err != nil && in.reason == nil {
		return fmt.Errorf("instantiating the module: %s", check.Clean(message(err)))
	}
	return in.end(err, trap)
}

func (in *instance) Call(ctx context.Context, export string) error {
	f, ok := in.m.exports[export]
	if !ok {
		return fmt.Errorf("module does not export a function %q", export)
	}
	if len(f.Params) != 0 || len(f.Results) != 0 {
		return fmt.Errorf("exported function %q has signature %s, one without parameters and results is needed",
			export, check.Signature(f.Params, f.Results))
	}
	in.ctx = ctx
	name := C.CString(export)
	defer C.free(unsafe.Pointer(name))
	var found C.bool
	var trap *C.wasm_trap_t
	err := C.enarx_call(in.c, name, C.size_t(len(export)), &found, &trap)
	if !found {
		return fmt.Errorf("module does not export a function %q", export)
	}
	return in.end(err, trap)
}

func (in *instance) Close() error {
	if in.c != nil {
		C.enarx_instance_delete(in.c)
		in.c = nil
		in.e.busy = false
	}
	unregister(in.id, in)
	in.pinner.Unpin()
	return nil
}
