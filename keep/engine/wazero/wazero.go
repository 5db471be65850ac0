// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package wazero runs modules on tetratelabs/wazero, an engine written in Go:
// the Keep stays one static file without a C library.
//
// [New] makes an engine; see package engine for its use. Modules may use the
// WebAssembly core specification 2.0 (vectors, bulk memory, reference types,
// several results), tail calls and extended constant expressions. Threads,
// 64-bit memories, garbage collection and the component model are not
// supported.
//
// Before the compiler sees a module, its counts and sizes are bounded
// (package check): a module is hostile input like any other. An engine holds one
// instance at a time, as a Keep runs one workload in its life.
//
// There is no way to stop an instance from outside other than to end its
// process: the engine's own switch for that costs a factor of six to nine in
// speed, and a Keep has a process to end.
//
// Trust: compiled code is native code. Whoever can write the directory
// Options.CacheDir runs code of its own choosing in the engine child; the
// engine protects entries against accidents only. A Keep that must resist its
// host does not set it.
package wazero

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/enarx/enarx-go/keep/engine"
	"github.com/enarx/enarx-go/keep/engine/check"
)

// Version is the version of the engine that this package was written for; a
// test holds it to the module's requirement.
const Version = "v1.12.0"

const (
	pageSize = 65536
	maxPages = 65536
)

// Options say how an engine works. The zero value compiles to native code,
// keeps nothing and allows the full 4 GiB of memory.
type Options struct {
	// Interpreter runs modules without making native code: about fifty
	// times slower, but without memory that is both written and executed.
	Interpreter bool
	// CacheDir, if not empty, is a directory that compiled code is kept
	// in. See the package comment for what its writers can do.
	CacheDir string
	// Limits bound the instance. A module that declares more memory than
	// that to begin with is refused; growing past it fails in the guest.
	Limits engine.Limits
}

// features are those that toolchains emit today without being asked, and those
// that cost nothing when unused.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// New makes an engine.
func New(o Options) (engine.Engine, error) {
	pages := o.Limits.MemoryBytes / pageSize
	if o.Limits.MemoryBytes == 0 || pages > maxPages {
		pages = maxPages
	}
	if pages == 0 {
		return nil, fmt.Errorf("memory limit of %d bytes is less than one page (%d bytes)", o.Limits.MemoryBytes, pageSize)
	}
	cfg := wazero.NewRuntimeConfigCompiler()
	if o.Interpreter {
		cfg = wazero.NewRuntimeConfigInterpreter()
	}
	// Debug sections are a parser for hostile bytes that nobody needs here.
	cfg = cfg.WithCoreFeatures(features).WithMemoryLimitPages(uint32(pages)).WithDebugInfoEnabled(false)
	e := &eng{}
	if o.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("opening the directory for compiled code: %w", err)
		}
		e.cache = cache
		cfg = cfg.WithCompilationCache(cache)
	}
	e.rt = wazero.NewRuntimeWithConfig(context.Background(), cfg)
	return e, nil
}

type eng struct {
	rt    wazero.Runtime
	cache wazero.CompilationCache
	busy  bool // an instance is alive
}

func (e *eng) Name() string { return "wazero " + Version }

func (e *eng) Close() error {
	ctx := context.Background()
	err := e.rt.Close(ctx)
	if e.cache != nil {
		err = errors.Join(err, e.cache.Close(ctx))
	}
	return err
}

func (e *eng) Compile(ctx context.Context, wasm []byte) (m engine.Module, err error) {
	if err := check.Module(wasm); err != nil {
		return nil, err
	}
	// A compiler's assertion must not end the Keep without a word.
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("compiling the module: internal error of the engine: %s", check.Clean(fmt.Sprint(p)))
		}
	}()
	compiled, err := e.rt.CompileModule(ctx, wasm)
	if err != nil && strings.Contains(err.Error(), "compilationcache") {
		return nil, fmt.Errorf("reading compiled code that was kept: %s; empty the directory", check.Clean(err.Error()))
	}
	if err != nil {
		return nil, fmt.Errorf("module is not valid: %s", check.Clean(err.Error()))
	}
	if n := len(compiled.ImportedMemories()); n > 0 {
		compiled.Close(ctx)
		return nil, fmt.Errorf("module imports %d memories, a workload has to bring its own", n)
	}
	return &module{e: e, compiled: compiled}, nil
}

type module struct {
	e        *eng
	compiled wazero.CompiledModule
	prepared *instance // made by Prepare, taken by Instantiate
}

func (m *module) Imports() []engine.Import {
	defs := m.compiled.ImportedFunctions()
	imports := make([]engine.Import, len(defs))
	for i, d := range defs {
		mod, name, _ := d.Import()
		imports[i] = engine.Import{Module: mod, Name: name, Params: types(d.ParamTypes()), Results: types(d.ResultTypes())}
	}
	return imports
}

func (m *module) HasExport(name string) bool {
	_, ok := m.compiled.ExportedFunctions()[name]
	return ok
}

func (m *module) Prepare(ctx context.Context, host []engine.HostFunc) error {
	if m.e.busy {
		return errors.New("the engine already runs an instance; close it first or make another engine")
	}
	wanted, err := check.Match(m.Imports(), host)
	if err != nil {
		return err
	}
	in := &instance{e: m.e}
	m.e.busy = true
	if err := in.offer(ctx, wanted); err != nil {
		in.Close()
		return err
	}
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
	if err := in.start(ctx, m.compiled); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

type instance struct {
	e     *eng
	mod   api.Module
	hosts []api.Module
	mem   memory
}

// offer makes the host functions callable, which compiles a trampoline for
// each.
func (in *instance) offer(ctx context.Context, wanted []*engine.HostFunc) error {
	builders := make(map[string]wazero.HostModuleBuilder)
	var names []string
	for _, h := range wanted {
		b := builders[h.Module]
		if b == nil {
			b = in.e.rt.NewHostModuleBuilder(h.Module)
			builders[h.Module] = b
			names = append(names, h.Module)
		}
		b.NewFunctionBuilder().WithGoModuleFunction(in.adapt(h.Call), apiTypes(h.Params), apiTypes(h.Results)).Export(h.Name)
	}
	for _, n := range names {
		hm, err := builders[n].Instantiate(ctx)
		if err != nil {
			return fmt.Errorf("offering host module %q: %s", check.Clean(n), check.Clean(err.Error()))
		}
		in.hosts = append(in.hosts, hm)
	}
	return nil
}

func (in *instance) start(ctx context.Context, compiled wazero.CompiledModule) error {
	// The instance has no name, so that no host module's name can clash
	// with it, and no start functions: those are the caller's to call. (A
	// start section runs here all the same, as the specification demands.)
	mod, err := in.e.rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		if mapped := mapError(err); ran(mapped) {
			return mapped
		}
		return fmt.Errorf("instantiating the module: %s", check.Clean(err.Error()))
	}
	in.mod = mod
	return nil
}

// ran says whether an error came out of code of the guest, which then was its
// start section.
func ran(err error) bool {
	var trap *engine.TrapError
	return !errors.As(err, &trap) || trap.Trace != ""
}

// adapt turns a host function into the engine's cheapest kind of call. The
// memory view is one object per instance, so that a call allocates nothing.
func (in *instance) adapt(call func(context.Context, engine.Memory, []uint64)) api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		in.mem.m = mod.Memory()
		call(ctx, &in.mem, stack)
	}
}

func (in *instance) Call(ctx context.Context, export string) error {
	f := in.mod.ExportedFunction(export)
	if f == nil {
		return fmt.Errorf("module does not export a function %q", export)
	}
	if d := f.Definition(); len(d.ParamTypes()) != 0 || len(d.ResultTypes()) != 0 {
		return fmt.Errorf("exported function %q has signature %s, one without parameters and results is needed",
			export, check.Signature(types(d.ParamTypes()), types(d.ResultTypes())))
	}
	if _, err := f.Call(ctx); err != nil {
		return mapError(err)
	}
	return nil
}

func (in *instance) Close() error {
	ctx := context.Background()
	var err error
	if in.mod != nil {
		err = in.mod.Close(ctx)
	}
	for _, h := range in.hosts {
		err = errors.Join(err, h.Close(ctx))
	}
	in.mod, in.hosts, in.e.busy = nil, nil, false
	return err
}

// mapError sorts an engine's error into an exit that a host function asked
// for, and a trap.
func mapError(err error) error {
	var exit *engine.ExitError
	if errors.As(err, &exit) {
		return exit
	}
	reason, trace, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n")
	return &engine.TrapError{Reason: check.Clean(strings.TrimPrefix(reason, "wasm error: ")), Trace: trace}
}

// memory is the guest's memory; m is nil for a module that has none.
type memory struct{ m api.Memory }

func (m *memory) Bytes(off, n uint32) ([]byte, bool) {
	if m.m == nil {
		return nil, false
	}
	return m.m.Read(off, n)
}

func (m *memory) Size() uint64 {
	if m.m == nil {
		return 0
	}
	// Size is 32 bits in the engine's interface, so 4 GiB reads as 0.
	if n := m.m.Size(); n != 0 {
		return uint64(n)
	}
	pages, _ := m.m.Grow(0)
	return uint64(pages) * pageSize
}

func types(in []api.ValueType) []engine.ValType {
	out := make([]engine.ValType, len(in))
	for i, t := range in {
		out[i] = engine.ValType(t)
	}
	return out
}

func apiTypes(in []engine.ValType) []api.ValueType {
	out := make([]api.ValueType, len(in))
	for i, t := range in {
		out[i] = api.ValueType(t)
	}
	return out
}
