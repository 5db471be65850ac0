// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// Change is one difference between the recorded verdict and that of now.
type Change struct {
	// Part is "result", "rows" or "trust".
	Part string `json:"part"`
	// Name is the member of the result, the check of the row (with "#2" after
	// it for the second row of one check, and so on) or the layer.
	Name string `json:"name"`
	// Was and Is are the member, row or layer in JSON; null is none.
	Was json.RawMessage `json:"was"`
	Is  json.RawMessage `json:"is"`
}

// maxChanges bounds the differences that are told; a recorded verdict can hold
// whatever its maker liked.
const maxChanges = 256

// object is a JSON object of which members are compared as text.
type object map[string]json.RawMessage

// lists are the members of a result that are lists of objects, with the member
// that names an object.
var lists = []struct{ part, name string }{{"rows", "check"}, {"trust", "layer"}}

// changes compares two verdicts. It reads the recorded one as loosely as it
// can: another version may have written it.
func changes(recorded, now []byte, sameTime bool) []Change {
	if bytes.Equal(recorded, now) {
		return nil
	}
	var was, is object
	if err := json.Unmarshal(now, &is); err != nil {
		return []Change{{Part: "result", Name: "verdict", Was: null(nil), Is: quoted(err.Error())}}
	}
	if err := json.Unmarshal(recorded, &was); err != nil || was == nil {
		return []Change{{Part: "result", Name: "verdict", Was: quoted("not a JSON object"), Is: quoted("a JSON object")}}
	}
	if !sameTime {
		delete(was, "at")
		delete(is, "at")
	}
	var out []Change
	for _, l := range lists {
		var a, b []object
		if json.Unmarshal(was[l.part], &a) == nil && json.Unmarshal(is[l.part], &b) == nil {
			out = append(out, compareLists(l.part, l.name, a, b)...)
			delete(was, l.part)
			delete(is, l.part)
		}
	}
	var names []string
	for name := range was {
		names = append(names, name)
	}
	for name := range is {
		if _, both := was[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var members []Change
	for _, name := range names {
		if !same(was[name], is[name]) {
			members = append(members, Change{Part: "result", Name: name, Was: null(was[name]), Is: null(is[name])})
		}
	}
	out = append(members, out...)
	if len(out) == 0 && sameTime {
		out = []Change{{Part: "result", Name: "encoding", Was: quoted("another text of the same JSON"), Is: quoted("the one text of this version")}}
	}
	if len(out) > maxChanges {
		more := quoted(fmt.Sprintf("%d more differences", len(out)-maxChanges+1))
		out = append(out[:maxChanges-1], Change{Part: "result", Name: "more", Was: null(nil), Is: more})
	}
	return out
}

// compareLists pairs objects by name and, among those of one name, by order.
func compareLists(part, name string, was, is []object) []Change {
	index := func(list []object) (names []string, by map[string]object) {
		by = map[string]object{}
		count := map[string]int{}
		for _, o := range list {
			var n string
			_ = json.Unmarshal(o[name], &n) // no name is a name, too
			if count[n]++; count[n] > 1 {
				n = fmt.Sprintf("%s#%d", n, count[n])
			}
			names, by[n] = append(names, n), o
		}
		return names, by
	}
	oldNames, old := index(was)
	newNames, current := index(is)
	var out []Change
	for _, n := range newNames {
		if !sameObject(old[n], current[n]) {
			out = append(out, Change{Part: part, Name: n, Was: text(old[n]), Is: text(current[n])})
		}
	}
	for _, n := range oldNames {
		if _, still := current[n]; !still {
			out = append(out, Change{Part: part, Name: n, Was: text(old[n]), Is: null(nil)})
		}
	}
	if len(out) == 0 && !slices.Equal(oldNames, newNames) {
		out = append(out, Change{Part: part, Name: "order", Was: quoted(strings.Join(oldNames, ", ")), Is: quoted(strings.Join(newNames, ", "))})
	}
	return out
}

func sameObject(a, b object) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || !same(v, w) {
			return false
		}
	}
	return true
}

// same compares values as JSON, without white space.
func same(a, b json.RawMessage) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	return bytes.Equal(compact(a), compact(b))
}

func compact(v json.RawMessage) []byte {
	var out bytes.Buffer
	if json.Compact(&out, v) != nil {
		return v
	}
	return out.Bytes()
}

func text(o object) json.RawMessage {
	if o == nil {
		return null(nil)
	}
	b, err := json.Marshal(o)
	if err != nil {
		return null(nil)
	}
	return b
}

func null(v json.RawMessage) json.RawMessage {
	if v == nil {
		return json.RawMessage("null")
	}
	return compact(v)
}

func quoted(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return null(nil)
	}
	return b
}

// Text is the change for people, in lines of at most width characters: what it
// is about, and each member that differs. What comes from the bundle is
// escaped, as package attest does.
func (c Change) Text(width int) string {
	head := c.Name
	if c.Part != "result" {
		head = c.Part + ": " + c.Name
	}
	var was, is object
	_ = json.Unmarshal(c.Was, &was) // a text or nothing is no object
	_ = json.Unmarshal(c.Is, &is)
	switch {
	case string(c.Was) == "null":
		return attest.Wrap(head+" is new: "+short(is, c.Is), "  ", width)
	case string(c.Is) == "null":
		return attest.Wrap(head+" is gone: "+short(was, c.Was), "  ", width)
	case was == nil || is == nil:
		return attest.Wrap(head+": was "+plain(c.Was)+", is "+plain(c.Is), "  ", width)
	}
	out := attest.Wrap(head+" changed:", "  ", width)
	for _, k := range []string{"outcome", "reason", "seen", "expected", "source", "todo", "standing", "by", "words"} {
		if !same(was[k], is[k]) {
			out += attest.Wrap(k+": was "+plain(was[k])+", is "+plain(is[k]), "    ", width)
		}
	}
	return out
}

// short is a row or layer in a few words.
func short(o object, v json.RawMessage) string {
	if o == nil {
		return plain(v)
	}
	var words []string
	for _, k := range []string{"outcome", "standing", "seen", "words"} {
		if o[k] != nil {
			words = append(words, plain(o[k]))
		}
	}
	return strings.Join(words, ", ")
}

// plain is a JSON value as a person reads it.
func plain(v json.RawMessage) string {
	var s string
	switch {
	case v == nil:
		return "nothing"
	case json.Unmarshal(v, &s) == nil && s == "":
		return "nothing"
	case s != "":
		return s
	}
	return string(v)
}
