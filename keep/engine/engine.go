// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package engine is the seam between a Keep and the WebAssembly engine that
// runs its workload. Two engines are meant to stand behind it; the Keep's WASI
// layer (package wasi) is written against this package alone and therefore
// behaves the same on each.
//
// Lengths and addresses are in bytes; integers in guest memory are
// little-endian (WebAssembly core specification, section 4).
package engine

import (
	"context"
	"errors"
)

// ValType is a WebAssembly value type of a host function's signature.
type ValType byte

// The number types (WebAssembly core specification, section 5.3.1).
const (
	I32 ValType = 0x7f
	I64 ValType = 0x7e
	F32 ValType = 0x7d
	F64 ValType = 0x7c
)

// Memory is the guest's linear memory. A view returned by Bytes is valid only
// until the guest runs again: memory may move when it grows.
type Memory interface {
	// Bytes returns the n bytes at off, or false if any of them lies
	// outside the memory.
	Bytes(off, n uint32) ([]byte, bool)
	// Size is the memory's current size in bytes.
	Size() uint64
}

// HostFunc is one function that the Keep offers to the guest. Call reads its
// parameters from stack and leaves its results there from index 0, one uint64
// per value; stack is long enough for both.
type HostFunc struct {
	Module, Name string
	Params       []ValType
	Results      []ValType
	Call         func(ctx context.Context, mem Memory, stack []uint64)
	// Kind says which function of the system interface this is, for an
	// engine that can answer some of its calls itself with what Quick says.
	// It must do what Call would do, or call it. See Quick.
	Kind  QuickKind
	Quick *Quick
}

// QuickKind is a function of the system interface that an engine may answer.
type QuickKind int

// The functions of WASI preview 1 that programs call most often.
const (
	QuickNone    QuickKind = iota
	QuickClock             // clock_time_get
	QuickRandom            // random_get
	QuickRead              // fd_read
	QuickWrite             // fd_write
	QuickNothing           // sched_yield: returns 0
)

// Quick is what an engine needs to know to answer simple calls without Go code,
// where entering Go from a guest is expensive. It has no pointers: foreign code
// reads and writes it while an instance runs and no host function does. The
// zero value says: always call the host function.
type Quick struct {
	// Active is set to 1 by an engine that makes use of this.
	Active uint32
	// Clock, if 1, says that the realtime clock and the monotonic one, in
	// this order, are the machine's CLOCK_MONOTONIC plus Offset, in
	// nanoseconds.
	Clock uint32
	// _ keeps the layout free of holes that the compiler chooses.
	_ uint32
	// RandomLeft is how many bytes of Random, from its beginning, are fresh.
	// The engine takes from the end of those, and wipes what it has taken.
	RandomLeft uint32
	Offset     [2]uint64
	FDs        [64]QuickFD
	Random     [4096]byte
}

// QuickFD is one descriptor of the guest, by its number.
type QuickFD struct {
	// Read and Write are the number of the kernel's non-blocking descriptor
	// plus one, if the guest may read or write it with readv(2) and
	// writev(2) and nothing else is to be done, or 0.
	Read, Write int32
	// NonBlock, if not 0, says that a write takes what goes at once.
	NonBlock uint32
}

// Import is a function that a module wants.
type Import struct {
	Module, Name string
	Params       []ValType
	Results      []ValType
}

// Limits bound one instance.
type Limits struct {
	// MemoryBytes is the most that the linear memories may take together;
	// 0 means the engine's own maximum of 4 GiB.
	MemoryBytes uint64
}

// Engine compiles modules. It is used by one goroutine at a time.
type Engine interface {
	// Name and version of the engine, as shown to users: "wazero v1.12.0".
	Name() string
	// Compile checks and compiles a module. The error says what is wrong
	// with the module and never contains its bytes.
	Compile(ctx context.Context, wasm []byte) (Module, error)
	// Close frees everything the engine holds.
	Close() error
}

// Module is a compiled module.
type Module interface {
	// Imports are the functions the module wants, in module order.
	Imports() []Import
	// HasExport says whether the module exports a function of that name.
	HasExport(name string) bool
	// Prepare does everything for an instance with the given host functions
	// that needs executable memory and runs no code of the guest, so that
	// the caller can take the means to make more away before Instantiate.
	// Imports that are not among host are an error that names the import.
	Prepare(ctx context.Context, host []HostFunc) error
	// Instantiate makes an instance with the given host functions, those of
	// a Prepare before it. Without Prepare it does that itself. It runs the
	// module's start section.
	Instantiate(ctx context.Context, host []HostFunc) (Instance, error)
}

// Instance is a running module.
type Instance interface {
	// Call calls an exported function without parameters or results. A
	// trap is returned as *TrapError; an exit asked for by a host function
	// (see Exit) as *ExitError.
	Call(ctx context.Context, export string) error
	// Close ends the instance.
	Close() error
}

// ExitError is how a guest's own exit travels out of Instance.Call. The WASI
// layer raises it by panicking with it inside a host function; every engine
// recovers exactly this type and returns it.
type ExitError struct{ Code uint32 }

func (e *ExitError) Error() string { return "workload exited" }

// TrapError says that the guest did something undefined: out-of-bounds access,
// unreachable, stack overflow, division by zero.
type TrapError struct {
	Reason string // the engine's words for the trap, one line
	Trace  string // the guest's call stack, for the owner only
}

func (e *TrapError) Error() string { return "workload trapped: " + e.Reason }

// ErrNotWasm is returned by Compile for bytes that are no WebAssembly module.
var ErrNotWasm = errors.New("not a WebAssembly module")
