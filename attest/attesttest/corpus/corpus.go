// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package corpus is one table of the evidence that real hardware produced and
// others have published, with what a verifier has to say of each piece at a
// stated time:
//
//	for _, v := range corpus.Vectors(t) {
//		claims, verdict := verifierFor(v).Verify(v.Evidence(), v.Collateral(), attest.Expected{}, v.At)
//		// corpus.Failed(verdict) must be v.Fails
//	}
//
// A piece of evidence stands in it several times, once for each time, set of
// collateral and demand under which something else is to be said of it. None of
// it was made for a Keep of ours, so what a relying party would expect of it is
// waived: measurement, host data, report data.
//
// The files lie where the packages that verify them keep their vectors, each
// with its origin; a test holds the list of all published files in
// testdata/VECTORS.tsv against this table, so that none is forgotten.
//
// The package knows no verifier, so that tests of the verifiers can use it.
// Package conformance makes the verifier of a vector.
package corpus

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Vector is evidence with collateral, a time, and the verdict that is right.
type Vector struct {
	// Name is unique: platform, evidence, and what sets it apart from other
	// vectors of the same evidence.
	Name string
	// File is the name of the evidence, shared by all vectors of it.
	File string
	// Platform is the platform of the evidence.
	Platform string
	// Parts are the evidence and then the collateral, in the order in which
	// they are given to a verifier.
	Parts []Part
	// At is the time of the appraisal.
	At time.Time
	// Options are the demands and concessions of the relying party.
	Options Options
	// Fails are the names of the rows that fail, without the platform and in
	// order, joined with a space. It is empty if the evidence is accepted.
	Fails string
	// Reasons are those of the failed rows, in order, joined with a space.
	Reasons string
	// TCB is how the row of the TCB begins (tdx, sgx), or "".
	TCB string
	// Ignored says that a part of the collateral is not needed and so not
	// looked at: a revocation list of another root, or one of several.
	Ignored bool
	// Advisories are those in the row of the TCB, joined with ", ".
	Advisories string
}

// Part is one input of a verifier.
type Part struct {
	// File is where it lies, from the root of the module.
	File string
	// MediaType is as in [attest.Evidence].
	MediaType string
	// Value is the content, a copy of the caller's own.
	Value []byte
}

// Options are what the verifiers of the platforms have in common or need for
// some vector. The zero value is the strict one.
type Options struct {
	VMPL             uint32
	AcceptMissingCRL bool
	// Statuses and Advisories of tdx and sgx that are excused.
	Statuses, Advisories []string
}

// Evidence is the first part.
func (v Vector) Evidence() attest.Evidence {
	return attest.Evidence{MediaType: v.Parts[0].MediaType, Value: v.Parts[0].Value}
}

// Collateral is every other part. It shares the memory of the parts, so that
// who damages one damages both.
func (v Vector) Collateral() attest.Collateral {
	var c attest.Collateral
	for _, p := range v.Parts[1:] {
		c = append(c, attest.Evidence{MediaType: p.MediaType, Value: p.Value})
	}
	return c
}

// Accepted says whether v is to be accepted.
func (v Vector) Accepted() bool { return v.Fails == "" }

// Failed are the names of the failed rows of a verdict, as in Vector.Fails.
func Failed(v attest.Verdict) string {
	var names []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			_, name, _ := strings.Cut(r.Check, ".")
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// Reasons are the reasons of the failed rows of a verdict, as in Vector.Reasons.
func Reasons(v attest.Verdict) string {
	var reasons []string
	for _, r := range v {
		if r.Outcome == attest.Fail {
			reasons = append(reasons, string(r.Reason))
		}
	}
	return strings.Join(reasons, " ")
}

// Vectors are all of them, with contents of the caller's own.
func Vectors(t testing.TB) []Vector {
	t.Helper()
	root := Root(t)
	vs := slices.Concat(snpVectors(t, root), tdxVectors(t, root), sgxVectors(t, root), nitroVectors(t, root))
	if len(vs) < 110 {
		t.Fatalf("%d vectors: the corpus is not there", len(vs))
	}
	return vs
}

// Named is one vector.
func Named(t testing.TB, name string) Vector {
	t.Helper()
	for _, v := range Vectors(t) {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no vector %q", name)
	return Vector{}
}

// Root is the directory of the module that the test runs in.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod here or above: the corpus is read from the source tree")
		}
		dir = up
	}
}

// contents are the files that were read, by path.
var contents sync.Map

// read gives a copy of a file.
func read(t testing.TB, root, name string) []byte {
	t.Helper()
	if b, ok := contents.Load(name); ok {
		return bytes.Clone(b.([]byte))
	}
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	contents.Store(name, bytes.Clone(b))
	return b
}

// row is one line of the tables.
type row struct {
	file       string // the evidence
	note       string // what sets the row apart, if file and day do not
	at         string // the day, or the time in RFC 3339
	collateral string // names of files or folders, joined with a space
	o          Options
	ignored    bool // see Vector
	fails      string
	reasons    string
	tcb        string
	advisories string
}

// vector makes the vector of a row; the parts are the caller's.
func (r row) vector(t testing.TB, platform string) Vector {
	t.Helper()
	at, err := time.Parse("2006-01-02", r.at)
	if err != nil {
		if at, err = time.Parse(time.RFC3339, r.at); err != nil {
			t.Fatal(err)
		}
	}
	name := platform + "/" + r.file + " at " + r.at
	if r.note != "" {
		name += ", " + r.note
	}
	return Vector{Name: name, File: r.file, Platform: platform, At: at, Options: r.o, Fails: r.fails, Reasons: r.reasons, TCB: r.tcb, Ignored: r.ignored, Advisories: r.advisories}
}
