// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep_test

import (
	_ "embed"
	"sync"
	"testing"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// nodesProgram is a Go program that uses what a workload finds in its tree
// beside its files; its first argument says what.
//
//go:embed testdata/nodes/main.go
var nodesProgram string

var nodesWasm struct {
	sync.Once
	b []byte
}

func nodes(t testing.TB) []byte {
	nodesWasm.Do(func() { nodesWasm.b = goWasm(t, nodesProgram) })
	if nodesWasm.b == nil {
		t.Fatal("the test program did not build")
	}
	return nodesWasm.b
}

// runNodes runs the program to its end.
func runNodes(t *testing.T, cfg keeptest.Config, change func(*workload.Package), args ...string) *outcome {
	t.Helper()
	o := &outcome{k: keeptest.Start(t, cfg)}
	o.s = o.k.Admit(t)
	b, digest := keeptest.Bundle(t, nodes(t), func(p *workload.Package) {
		p.Config.Args = args
		if change != nil {
			change(p)
		}
	})
	o.owner, o.digest = keeptest.NewOwner(t), digest
	d := client.Deployment{Bundle: b, Digest: digest, Owner: o.owner, Stdout: &o.out, Stderr: &o.log}
	o.started, o.exit, o.err = o.s.Deploy(t.Context(), d, o.k.Demand(t))
	return o
}

func TestDevicesAndScratch(t *testing.T) {
	o := runNodes(t, keeptest.Config{Platform: "process"}, func(p *workload.Package) {
		p.Config.Scratch = []workload.Scratch{{Path: "/tmp", Bytes: 1000, Files: 3}, {Path: "/data/cache", Bytes: 10, Files: 1}}
		p.Files = []workload.BundleFile{{Path: "/data/in.txt", Data: []byte("from the bundle")}}
	}, "devices")
	o.want(t, session.EndExit, 0)
	want := `null: 0 bytes, write <nil>
zero: true, write <nil>
random: true, write <nil>
urandom: true, write <nil>
create in /dev: true
/tmp: written back, then full: true, names [a b c]
/data: from the bundle, read-only true
/data/cache: 0123456789, then full: true
`
	if got := o.out.String(); got != want {
		t.Errorf("stdout:\n%swant:\n%sstderr: %s", got, want, o.log.String())
	}
}

// A bundle that has something at /dev of its own keeps it.
func TestBundleHasItsOwnDev(t *testing.T) {
	o := runNodes(t, keeptest.Config{Platform: "process"}, func(p *workload.Package) {
		p.Files = []workload.BundleFile{{Path: "/dev/null", Data: []byte("mine")}}
	}, "cat", "/dev/null", "/dev/zero")
	o.want(t, session.EndExit, 0)
	if got, want := o.out.String(), "mine\nopen /dev/zero: No such file or directory\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
}
