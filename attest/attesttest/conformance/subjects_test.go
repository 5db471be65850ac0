// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// subject is a vector that can be attacked: every signature in it is good, so
// that whatever is changed has to be noticed.
type subject struct {
	corpus.Vector
	verifier attest.Verifier
	// fails are the rows that fail before the attack: what a relying party
	// does not want of evidence that is genuine.
	fails []string
}

// unwanted are the rows that may fail of genuine evidence. The quotes of 2020
// have no revocation lists, and some endorsements were collected at different
// times.
var unwanted = []string{"tcb", "debug", "migration", "sept-ve", "vmpl", "revocation", "dates"}

// subjects are the vectors that can be attacked: of each piece of evidence and
// each set of collateral that which the verifier objects to the least.
func subjects(t testing.TB, c Caches) (out []subject) {
	t.Helper()
	best := map[string]int{}
	for _, v := range corpus.Vectors(t) {
		fails := strings.Fields(v.Fails)
		if v.File == "v4-50806f-trailing" {
			v = cut(v) // what follows the quote is nobody's, and is refused
			fails = slices.DeleteFunc(fails, func(s string) bool { return s == "format" })
		}
		if v.Ignored || slices.Contains(fails, "revocation") && (v.Platform == attest.PlatformSNP || part(v, attest.MediaTypeCRL) != nil) ||
			slices.ContainsFunc(fails, func(s string) bool { return !slices.Contains(unwanted, s) }) {
			continue
		}
		var key string
		for _, p := range v.Parts {
			key += p.File + " "
		}
		s := subject{v, Verifier(v, c), fails}
		if i, ok := best[key]; !ok {
			best[key] = len(out)
			out = append(out, s)
		} else if len(fails) < len(out[i].fails) {
			out[i] = s
		}
	}
	if len(out) < 40 {
		t.Fatalf("%d vectors can be attacked", len(out))
	}
	for _, s := range out {
		if got := s.fresh(); len(got) != 0 {
			t.Fatalf("%s: fails %v before the attack", s.Name, got)
		}
	}
	return out
}

// cut takes off the 39 bytes of text that follow one quote.
func cut(v corpus.Vector) corpus.Vector {
	p := &v.Parts[0]
	p.Value = p.Value[:len(p.Value)-39]
	return v
}

// fresh verifies s as it is now and gives the rows that fail and did not
// before; nil means that the attack went unnoticed.
func (s subject) fresh() (rows []string) {
	claims, verdict := s.verifier.Verify(s.Evidence(), s.Collateral(), Expected(s.Vector), s.At)
	if claims != nil && !verdict.OK() || claims == nil && verdict.OK() || len(verdict) == 0 {
		return []string{"claims and verdict do not agree"}
	}
	for _, f := range strings.Fields(corpus.Failed(verdict)) {
		if !slices.Contains(s.fails, f) {
			rows = append(rows, f)
		}
	}
	return rows
}

// chained adds intermediate and root to the collateral of a report; the
// verifier has its own, so most vectors come without.
func (s subject) chained(t testing.TB) subject {
	t.Helper()
	line, _, _ := strings.Cut(s.File, "-")
	if line == "siena" {
		line = "genoa"
	}
	kind := "vcek"
	if strings.Contains(s.File, "vlek") {
		kind = "vlek"
	}
	name := "attest/snp/roots/" + line + "-" + kind + "-chain.pem"
	b, err := os.ReadFile(filepath.Join(corpus.Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	s.Parts = slices.Clone(s.Parts)
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		s.Parts = append(s.Parts, corpus.Part{File: name, MediaType: attest.MediaTypeCertificate, Value: block.Bytes})
	}
	if got := s.fresh(); len(got) != 0 {
		t.Fatalf("%s with its chain: fails %v before the attack", s.Name, got)
	}
	return s
}
