// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
)

// mutator makes what an attacker, a bad line or a clumsy program makes of
// genuine evidence. All that it does follows from its seed.
type mutator struct {
	rnd *rand.Rand
	// siblings are the parts that can stand in for each other, by platform
	// and media type.
	siblings map[string][][]byte
}

func newMutator(seed uint64, vs []corpus.Vector) *mutator {
	m := &mutator{rand.New(rand.NewPCG(seed, 20)), map[string][][]byte{}}
	for _, v := range vs {
		for _, p := range v.Parts {
			key := v.Platform + p.MediaType
			m.siblings[key] = append(m.siblings[key], bytes.Clone(p.Value))
		}
	}
	return m
}

// mutations are the ways to change one part, by name.
var mutations = []struct {
	name  string
	apply func(m *mutator, v *corpus.Vector, p *corpus.Part)
}{
	{"flip", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		for range 1 + m.rnd.IntN(3) {
			p.Value[m.rnd.IntN(len(p.Value))] ^= 1 << m.rnd.IntN(8)
		}
	}},
	{"set", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		p.Value[m.rnd.IntN(len(p.Value))] = []byte{0, 1, 0x7f, 0x80, 0xff, byte(m.rnd.Uint32())}[m.rnd.IntN(6)]
	}},
	{"number", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		at, d := m.rnd.IntN(len(p.Value)), uint32(1)-2*uint32(m.rnd.IntN(2))
		if at = at &^ 3; at+4 <= len(p.Value) {
			binary.LittleEndian.PutUint32(p.Value[at:], binary.LittleEndian.Uint32(p.Value[at:])+d)
		}
	}},
	{"cut", func(m *mutator, _ *corpus.Vector, p *corpus.Part) { p.Value = p.Value[:m.rnd.IntN(len(p.Value))] }},
	{"append", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		more := make([]byte, 1+m.rnd.IntN(64))
		if m.rnd.IntN(2) == 0 {
			more[m.rnd.IntN(len(more))] = byte(m.rnd.Uint32())
		}
		p.Value = append(p.Value, more...)
	}},
	{"double", func(m *mutator, _ *corpus.Vector, p *corpus.Part) { p.Value = append(p.Value, p.Value...) }},
	{"remove", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		from := m.rnd.IntN(len(p.Value))
		p.Value = slices.Delete(p.Value, from, min(len(p.Value), from+1+m.rnd.IntN(16)))
	}},
	{"insert", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		p.Value = slices.Insert(p.Value, m.rnd.IntN(len(p.Value)), []byte(" 0\x00\xff")[m.rnd.IntN(4)])
	}},
	{"splice", func(m *mutator, v *corpus.Vector, p *corpus.Part) {
		o := m.sibling(v, p)
		from := m.rnd.IntN(min(len(p.Value), len(o)))
		copy(p.Value[from:], o[from:min(len(o), from+1+m.rnd.IntN(200))])
	}},
	{"field", func(m *mutator, v *corpus.Vector, p *corpus.Part) {
		f := fields[v.Platform][m.rnd.IntN(len(fields[v.Platform]))]
		o := m.sibling(v, &v.Parts[0])
		if e := v.Parts[0].Value; f[1] <= len(e) && f[1] <= len(o) {
			copy(e[f[0]:f[1]], o[f[0]:f[1]])
		}
	}},
	{"length", func(m *mutator, v *corpus.Vector, p *corpus.Part) {
		at := lengths[v.Platform][m.rnd.IntN(len(lengths[v.Platform]))]
		if e := v.Parts[0].Value; at+4 <= len(e) {
			binary.LittleEndian.PutUint32(e[at:], binary.LittleEndian.Uint32(e[at:])+[]uint32{1, 0xffffffff, 0x10000, 0x80000000}[m.rnd.IntN(4)])
		}
	}},
	{"swap", func(m *mutator, v *corpus.Vector, p *corpus.Part) { p.Value = bytes.Clone(m.sibling(v, p)) }},
	{"drop", func(m *mutator, v *corpus.Vector, p *corpus.Part) {
		if i := m.rnd.IntN(len(v.Parts)); i > 0 {
			v.Parts = slices.Delete(v.Parts, i, i+1)
		}
	}},
	{"time", func(m *mutator, v *corpus.Vector, _ *corpus.Part) {
		v.At = v.At.Add(time.Duration(m.rnd.Int64N(int64(20*365*24*time.Hour))) - 10*365*24*time.Hour)
	}},
	{"capitals", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		i := m.rnd.IntN(len(p.Value))
		if n := bytes.IndexFunc(p.Value[i:], func(r rune) bool { return r >= 'a' && r <= 'f' }); n >= 0 {
			p.Value[i+n] -= 'a' - 'A'
		}
	}},
	{"lines", func(m *mutator, _ *corpus.Vector, p *corpus.Part) {
		p.Value = bytes.Replace(p.Value, []byte("\n"), []byte("\r\n"), 1+m.rnd.IntN(30))
	}},
}

// fields are stretches of the evidence that have a meaning of their own.
var fields = map[string][][2]int{
	attest.PlatformSNP: {
		{0, 4}, {4, 8}, {8, 16}, {0x10, 0x30}, {0x30, 0x34}, {0x34, 0x38}, {0x38, 0x40}, {0x48, 0x4c}, {0x50, 0x90}, {0x90, 0xc0}, {0xc0, 0xe0},
		{0x140, 0x160}, {0x180, 0x188}, {0x188, 0x18b}, {0x1a0, 0x1e0}, {0x1f0, 0x1f8}, {0, 0x2a0}, {0x2a0, 0x4a0}, {0x2a0, 0x2e8}, {0x2e8, 0x330},
	},
	attest.PlatformTDX: {
		{0, 48}, {48, 632}, {48, 64}, {64, 112}, {168, 176}, {176, 184}, {184, 232}, {376, 568}, {568, 632}, {636, 700}, {700, 764}, {770, 1154}, {1154, 1218}, {1220, 1252},
	},
}

// lengths are where lengths stand in the evidence.
var lengths = map[string][]int{
	attest.PlatformSNP: {0, 0x34, 0x48},
	attest.PlatformTDX: {0, 2, 632, 764, 766, 1218, 1252, 1254},
}

func (m *mutator) sibling(v *corpus.Vector, p *corpus.Part) []byte {
	all := m.siblings[v.Platform+p.MediaType]
	return all[m.rnd.IntN(len(all))]
}

// mutate changes a copy of v once or twice and says how.
func (m *mutator) mutate(v corpus.Vector) (corpus.Vector, string) {
	v.Parts = slices.Clone(v.Parts)
	for i := range v.Parts {
		v.Parts[i].Value = bytes.Clone(v.Parts[i].Value)
	}
	if m.rnd.IntN(32) == 0 {
		return v, "nothing"
	}
	how := ""
	for range 1 + m.rnd.IntN(8)/7 {
		i := 0 // half of all are made to the evidence
		if m.rnd.IntN(2) == 0 {
			i = m.rnd.IntN(len(v.Parts))
		}
		if len(v.Parts[i].Value) == 0 {
			continue
		}
		x := mutations[m.rnd.IntN(len(mutations))]
		x.apply(m, &v, &v.Parts[i])
		how += " " + x.name
	}
	return v, how
}
