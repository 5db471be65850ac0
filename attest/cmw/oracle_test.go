// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw_test

import (
	"bytes"
	"testing"

	veraison "github.com/veraison/cmw"

	"github.com/enarx/enarx-go/attest/cmw"
)

// theirs turns a tree into that of the library of the RFC's authors.
func theirs(t *testing.T, n *cmw.Node) *veraison.CMW {
	t.Helper()
	if r := n.Record; r != nil {
		var typ any = r.Type.Name()
		if f, ok := r.Type.Format(); ok {
			typ = f
		}
		m, err := veraison.NewMonad(typ, r.Value, veraison.Indicator(r.Ind))
		if err != nil {
			t.Fatal(err)
		}
		if r.Tag {
			m.UseCBORTagFormat()
		}
		return m
	}
	c, err := veraison.NewCollection(n.Collection.Type)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n.Collection.Entries {
		e := &n.Collection.Entries[i]
		var key any = e.Label.String()
		if l, ok := number(e.Label); ok {
			key = l
		}
		if err := c.AddCollectionItem(key, theirs(t, &e.Node)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// number finds the value of a label that is one: the numbers of the tests.
func number(l cmw.Label) (int64, bool) {
	for _, n := range []int64{0, 1, 2, 24, -1, 1024} {
		if l == cmw.Number(n) {
			return n, true
		}
	}
	return 0, false
}

// What we write is what the library of the RFC's authors writes, byte for byte.
func TestAgreesWithVeraison_Writing(t *testing.T) {
	compared := 0
	for _, c := range good {
		if c.name == "collection of an object identifier, nested, without a type below" {
			continue // they refuse to write an empty label, and escape "<" for pages
		}
		v := theirs(t, &c.node)
		ours, err := c.node.CBOR()
		if err != nil {
			t.Fatal(err)
		}
		if their, err := v.MarshalCBOR(); err != nil || !bytes.Equal(ours, their) {
			t.Errorf("%s: CBOR %x, theirs %x, %v", c.name, ours, their, err)
		}
		compared++
		if c.json == "" {
			continue
		}
		if their, err := v.MarshalJSON(); err != nil || string(their) != c.json {
			t.Errorf("%s: JSON %s, theirs %s, %v", c.name, c.json, their, err)
		}
	}
	if compared < 10 {
		t.Errorf("only %d trees compared", compared)
	}
}

// What we read, they read, and it comes out as the same bytes.
func TestAgreesWithVeraison_Reading(t *testing.T) {
	for name, b := range samples(t) {
		n, form, err := cmw.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var v veraison.CMW
		if err := v.Deserialize(b); err != nil {
			t.Errorf("%s: theirs: %v", name, err)
			continue
		}
		write, their := n.CBOR, v.MarshalCBOR
		if form == cmw.JSON {
			write, their = n.JSON, v.MarshalJSON
		}
		a, err := write()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := their(); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %x, theirs %x, %v", name, a, b, err)
		}
	}
}

// TestAgreesWithVeraison_OnDamage flips every bit of every sample: what they
// refuse, we refuse, and what both read means the same.
func TestAgreesWithVeraison_OnDamage(t *testing.T) {
	both := 0
	for name, sample := range samples(t) {
		if len(sample) > 400 {
			continue
		}
		for bit := range 8 * len(sample) {
			b := bytes.Clone(sample)
			b[bit/8] ^= 1 << (bit % 8)
			n, form, err := cmw.Parse(b)
			if err != nil {
				continue
			}
			var v veraison.CMW
			if their := v.Deserialize(b); their != nil {
				t.Errorf("%s, bit %d: we read %s, they do not: %v", name, bit, show(b), their)
				continue
			}
			both++
			write, theirWrite := n.CBOR, v.MarshalCBOR
			if form == cmw.JSON {
				write, theirWrite = n.JSON, v.MarshalJSON
			}
			x, err := write()
			y, theirErr := theirWrite()
			y = bytes.ReplaceAll(y, []byte(`\u0026`), []byte("&")) // they escape as for pages
			if err != nil || theirErr != nil || !bytes.Equal(x, y) {
				t.Errorf("%s, bit %d: %s (%v), theirs %s (%v)", name, bit, show(x), err, show(y), theirErr)
			}
		}
	}
	if both < 100 {
		t.Errorf("only %d damaged wrappers were read by both: nothing was compared", both)
	}
	t.Logf("%d damaged wrappers read alike", both)
}
