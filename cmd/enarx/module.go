// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/internal/wat"
	"github.com/enarx/enarx-go/workload"
	"github.com/enarx/enarx-go/workload/enarxtoml"
)

// packed is a workload ready to go into a Keep.
type packed struct {
	Bundle []byte
	Digest workload.Digest
	Config workload.Config
}

// summary names the bundle in a line of progress.
func (p *packed) summary() string {
	return p.Digest.String()[:len("bundle:sha256:")+16] + "…  " + formatBytes(uint64(len(p.Bundle)))
}

// pack turns MODULE and the flags into the canonical bundle. Whatever the flags
// say is in it before its digest is taken.
func (a *app) pack(path string, f *workloadFlags, args []string) (*packed, error) {
	o, err := f.overrides(args)
	if err != nil {
		return nil, err
	}
	b, err := readLimited(path, "the module", workload.MaxBundleSize, exitWorkload)
	if err != nil {
		return nil, err
	}
	if workload.IsBundle(b) {
		return a.packBundle(path, b, f, o)
	}
	module, err := moduleBytes(path, b)
	if err != nil {
		return nil, err
	}
	doc, dir, err := a.config(f.config)
	if err != nil {
		return nil, err
	}
	p, err := enarxtoml.PackFiles(doc, dir, module, o)
	if err != nil {
		return nil, badWorkload(err)
	}
	return packPackage(p)
}

// packBundle takes a finished bundle as it is, or changes it as the flags say:
// that makes another workload, which the user is told.
func (a *app) packBundle(path string, b []byte, f *workloadFlags, o enarxtoml.Overrides) (*packed, error) {
	if f.config != "" {
		return nil, failf(exitUsage, "leave --config out, or pack the module again with it",
			"%s is a bundle and has its configuration inside", path)
	}
	u, err := workload.Parse(b)
	if err != nil {
		return nil, badWorkload(fmt.Errorf("%s: %w", path, err))
	}
	before := &packed{Bundle: b, Digest: u.Digest(), Config: u.Config()}
	// A bundle of a later minor version may hold more than this program
	// knows: untouched by flags, it stays byte for byte what it was.
	if !f.changes(o) {
		return before, nil
	}
	p := u.Package()
	if err := o.Apply(&p.Config); err != nil {
		return nil, badWorkload(err)
	}
	after, err := packPackage(p)
	if err != nil {
		return nil, err
	}
	if after.Digest == before.Digest {
		return before, nil
	}
	a.ui.warningf("the flags change the bundle: it is no longer %s but %s", before.Digest, after.Digest)
	return after, nil
}

func packPackage(p workload.Package) (*packed, error) {
	b, err := workload.Pack(p)
	if err != nil {
		return nil, badWorkload(err)
	}
	u, err := workload.Parse(b)
	if err != nil {
		return nil, failf(exitInternal, "", "reading back the bundle: %w", err)
	}
	return &packed{Bundle: b, Digest: u.Digest(), Config: u.Config()}, nil
}

// badWorkload is the code of everything that is wrong with a workload.
func badWorkload(err error) error {
	var ce *cliError
	if errors.As(err, &ce) {
		return err
	}
	return fail(exitWorkload, "", err)
}

// config reads the Enarx.toml of --config; without one the defaults hold.
func (a *app) config(path string) (*enarxtoml.Doc, string, error) {
	if path == "" {
		return enarxtoml.Default(), ".", nil
	}
	b, err := readLimited(path, "the configuration", enarxtoml.MaxSize, exitWorkload)
	if err != nil {
		return nil, "", err
	}
	doc, err := enarxtoml.Parse(path, b)
	if err != nil {
		return nil, "", fail(exitWorkload, "docs/enarx-toml.md is the reference of all keys", err)
	}
	for _, w := range doc.Warnings() {
		a.ui.warningf("%s", w)
	}
	return doc, filepath.Dir(path), nil
}

// moduleBytes gives the binary module of a .wasm or .wat file. The content
// decides, not the name; the name only helps to word the error.
func moduleBytes(path string, b []byte) ([]byte, error) {
	if bytes.HasPrefix(b, []byte("\x00asm")) {
		// The version of a module (core specification, section 5.5.16); a
		// component has a layer of 1 in its upper half and is for the Keep's
		// engine to judge.
		if len(b) >= 8 && b[6] == 0 && !bytes.Equal(b[4:8], []byte{1, 0, 0, 0}) {
			return nil, failf(exitWorkload, "compile it for WebAssembly version 1, the one that compilers emit",
				"%s has WebAssembly version %d, expected 1", path, binary.LittleEndian.Uint32(b[4:8]))
		}
		return b, nil
	}
	if wat.IsText(b) {
		module, err := wat.Assemble(b)
		if err != nil {
			return nil, failf(exitWorkload, "", "%s:%w", path, err)
		}
		return module, nil
	}
	return nil, failf(exitWorkload, foreignHint(b),
		"%s is not a WebAssembly module: it begins with %s, expected \\0asm, WebAssembly text or a bundle", path, beginning(b))
}

// beginning shows the first bytes of a file that we do not know.
func beginning(b []byte) string {
	if len(b) == 0 {
		return "nothing (it is empty)"
	}
	return fmt.Sprintf("%q", b[:min(len(b), 8)])
}

// foreignHint recognises what people give by mistake.
func foreignHint(b []byte) string {
	for _, k := range []struct{ magic, hint string }{
		{"\x7fELF", "this is a program for this machine; compile it for WebAssembly (Go: GOOS=wasip1 GOARCH=wasm, Rust: wasm32-wasip1, C: clang --target=wasm32-wasi)"},
		{"\x1f\x8b", "this file is compressed; unpack it first"},
		{"\x28\xb5\x2f\xfd", "this file is compressed; unpack it first"},
		{"PK\x03\x04", "this is an archive; unpack it first"},
		{"!<arch>", "this is a library archive; link it to a .wasm program first"},
		{"#!", "a script needs its interpreter as the module, and itself as a mount of Enarx.toml"},
	} {
		if bytes.HasPrefix(b, []byte(k.magic)) {
			return k.hint
		}
	}
	return "name a .wasm file, a .wat file or a bundle of enarx workload pack"
}

// workloadFlags are the flags that end up in the bundle. They are the same for
// run, deploy and workload pack.
type workloadFlags struct {
	config  string
	env     []string
	memory  string
	timeout string
	secrets []string
}

// overrides checks the flags and words them for the packer.
func (f *workloadFlags) overrides(args []string) (o enarxtoml.Overrides, err error) {
	o.Args = args
	for _, kv := range f.env {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return o, failf(exitUsage, "nothing is taken over from your own environment: write the value out",
				"--env %q: expected NAME=VALUE", kv)
		}
		if o.Env == nil {
			o.Env = map[string]string{}
		}
		if _, dup := o.Env[k]; dup {
			return o, failf(exitUsage, "give it once", "--env: %s is set twice", k)
		}
		o.Env[k] = v
	}
	if f.memory != "" {
		if o.MemoryBytes, err = enarxtoml.ParseSize(f.memory); err != nil {
			return o, failf(exitUsage, "", "--memory: %w", err)
		}
	}
	if f.timeout != "" {
		if o.TimeoutMS, err = enarxtoml.ParseTimeout(f.timeout); err != nil {
			return o, failf(exitUsage, "", "--timeout: %w", err)
		}
	}
	for _, s := range f.secrets {
		name, _, err := splitSecret(s)
		if err != nil {
			return o, err
		}
		if slices.ContainsFunc(o.Secrets, func(s workload.Secret) bool { return s.Name == name }) {
			return o, failf(exitUsage, "give it once", "--secret: %s is given twice", name)
		}
		o.Secrets = append(o.Secrets, workload.Secret{Name: name})
	}
	return o, nil
}

// changes says that any flag has something to say about the bundle. A secret
// does so only if the bundle does not declare it, which Apply finds out; the
// caller compares digests.
func (f *workloadFlags) changes(o enarxtoml.Overrides) bool {
	return len(o.Args) > 0 || len(o.Env) > 0 || o.MemoryBytes != 0 || o.TimeoutMS != 0 || len(o.Secrets) > 0
}

// maxSecretSize bounds one secret's value; certificates and keys have a few
// KiB, and values are sent in one message.
const maxSecretSize = 64 << 10

// splitSecret reads NAME=@FILE. A value on the command line would be seen by
// every process of this machine and kept in the shell's history.
func splitSecret(s string) (name, file string, err error) {
	name, value, ok := strings.Cut(s, "=")
	switch {
	case !ok || name == "":
		return "", "", failf(exitUsage, "write --secret NAME=@FILE", "--secret %q: expected NAME=@FILE", name)
	case !strings.HasPrefix(value, "@") || value == "@":
		return "", "", failf(exitUsage, "put the value into a file that only you can read and write --secret "+name+"=@FILE",
			"--secret %s: a value on the command line would be seen by every process here", name)
	}
	return name, value[1:], nil
}

// secretValues reads the values of all secrets that the workload declares.
func (a *app) secretValues(flags []string, declared []workload.Secret) (map[string][]byte, error) {
	values := map[string][]byte{}
	for _, s := range flags {
		name, file, err := splitSecret(s)
		if err != nil {
			return nil, err
		}
		if values[name], err = readLimited(file, "the secret "+name, maxSecretSize, exitUsage); err != nil {
			return nil, err
		}
	}
	for _, d := range declared {
		if _, ok := values[d.Name]; !ok {
			return nil, failf(exitUsage, "give it with --secret "+d.Name+"=@FILE", "the workload declares the secret %s, which has no value", d.Name)
		}
	}
	return values, nil
}
