// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest/cmw"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func record(typ cmw.Type, value string, ind cmw.Ind) cmw.Node {
	return cmw.Node{Record: &cmw.Record{Type: typ, Value: []byte(value), Ind: ind}}
}

// The trees of the tests with their one encoding in each form; "" is none.
var good = []struct {
	name string
	node cmw.Node
	cbor string // hexadecimal
	json string
}{
	{"record of a media type", record(cmw.MediaType("a/b"), "\xff\xfe", 0), "82 63612f62 42fffe", `["a/b","__4"]`},
	{"record with indicators", record(cmw.MediaType("a/b"), "v", cmw.ReferenceValues|cmw.Endorsements), "83 63612f62 4176 03", `["a/b","dg",3]`},
	{"every indicator", record(cmw.MediaType("a/b"), "v", 31), "83 63612f62 4176 181f", `["a/b","dg",31]`},
	{"record of a content format", record(cmw.ContentFormat(30001), "#G\xdaU", 0), "82 197531 442347da55", ""},
	{"content format with a name", record(cmw.ContentFormat(263), "v", 4), "83 190107 4176 04", ""},
	// RFC 9999, appendix: tag 1668576935 is content format 30001.
	{"tag", cmw.Node{Record: &cmw.Record{Type: cmw.ContentFormat(30001), Value: []byte("#G\xdaU"), Tag: true}}, "da637476a7 442347da55", ""},
	{"first tag", cmw.Node{Record: &cmw.Record{Type: cmw.ContentFormat(0), Value: []byte("v"), Tag: true}}, "da63740101 4176", ""},
	{"last tag", cmw.Node{Record: &cmw.Record{Type: cmw.ContentFormat(65024), Value: []byte("v"), Tag: true}}, "da6374ffff 4176", ""},
	{"collection", cmw.Node{Collection: &cmw.Collection{Type: "tag:a,2026:b", Entries: []cmw.Entry{
		{Label: cmw.Text("b"), Node: record(cmw.MediaType("a/b"), "1", 0)},
		{Label: cmw.Text("aa"), Node: record(cmw.MediaType("a/b"), "2", 0)},
	}}}, "a3 6162 8263612f624131 626161 8263612f624132 685f5f636d77635f74 6c7461673a612c323032363a62",
		`{"__cmwc_t":"tag:a,2026:b","aa":["a/b","Mg"],"b":["a/b","MQ"]}`},
	{"collection of an object identifier, nested, without a type below", cmw.Node{Collection: &cmw.Collection{Type: "2.999.0", Entries: []cmw.Entry{
		{Label: cmw.Text(""), Node: cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{{Label: cmw.Text("\"<é"), Node: record(cmw.MediaType("a/b"), "1", 0)}}}}},
	}}}, "a2 60 a1 64223cc3a9 8263612f624131 685f5f636d77635f74 67322e3939392e30", `{"":{"\"<é":["a/b","MQ"]},"__cmwc_t":"2.999.0"}`},
	{"labels that are numbers", cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{
		{Label: cmw.Number(0), Node: record(cmw.MediaType("a/b"), "1", 0)},
		{Label: cmw.Number(24), Node: record(cmw.MediaType("a/b"), "2", 0)},
		{Label: cmw.Number(-1), Node: record(cmw.MediaType("a/b"), "3", 0)},
		{Label: cmw.Text("0"), Node: record(cmw.MediaType("a/b"), "4", 0)},
	}}}, "a4 00 8263612f624131 1818 8263612f624132 20 8263612f624133 6130 8263612f624134", ""},
	{"media type with parameters", record(cmw.MediaType(`application/eat+cwt; eat_profile="tag:a,2026:\"q\""; v=1`), "v", 0), "", `["application/eat+cwt; eat_profile=\"tag:a,2026:\\\"q\\\"\"; v=1","dg"]`},
}

func TestOneEncodingForEachTree(t *testing.T) {
	for _, c := range good {
		t.Run(c.name, func(t *testing.T) {
			if want := unhex(t, c.cbor); len(want) > 0 {
				got, err := c.node.CBOR()
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("CBOR: %x, %v; want %x", got, err, want)
				}
				same(t, want, cmw.CBOR, &c.node)
			}
			got, err := c.node.JSON()
			if c.json == "" {
				// A content format has a name in JSON, if it is known.
				if err == nil && c.name != "content format with a name" {
					t.Errorf("JSON: %s, want an error", got)
				}
				return
			}
			if err != nil || string(got) != c.json {
				t.Errorf("JSON: %s, %v; want %s", got, err, c.json)
			}
			same(t, []byte(c.json), cmw.JSON, &c.node)
		})
	}
}

// same checks that b is read as want and is its canonical form.
func same(t *testing.T, b []byte, form cmw.Form, want *cmw.Node) {
	t.Helper()
	n, f, err := cmw.Parse(b)
	if err != nil || f != form {
		t.Fatalf("%s: form %v, %v", show(b), f, err)
	}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("%s: read as %+v, want %+v", show(b), n, want)
	}
	if !cmw.Canonical(n, form, b) {
		t.Errorf("%s: not canonical", show(b))
	}
}

func show(b []byte) string {
	if len(b) > 0 && (b[0] == '[' || b[0] == '{') {
		return string(b)
	}
	return fmt.Sprintf("%x", b)
}

// What the RFC leaves open is read, and is not the form that is written.
func TestReadersTakeEveryFormOfTheRFC(t *testing.T) {
	for name, in := range map[string]string{
		"indefinite array":          "9f 63612f62 4176 04 ff",
		"indefinite text":           "83 7f61616 22f62ff 4176 04",
		"indefinite bytes":          "83 63612f62 5f41764100ff 04",
		"long heads":                "9803 7803612f62 59000176 1804",
		"indefinite map":            "bf 6161 8263612f624131 ff",
		"map in another order":      "a2 626161 8263612f624131 6162 8263612f624131",
		"long head of a tag":        "db0000000063740101 4176",
		"JSON with white space":     " \n{\t\"a\" :\r[ \"a/b\" , \"dg\" , 4 ] }\n",
		"JSON with escapes":         `{"\u0061":["a\/b","\u0064g",4]}`,
		"JSON in another order":     `{"b":["a/b","dg"],"a":["a/b","dg"]}`,
		"JSON of a surrogate pair":  `{"\ud83d\ude00":["a/b","dg"]}`,
		"JSON type after an entry":  `{"b":["a/b","dg"],"__cmwc_t":"tag:a,2026:b"}`,
		"JSON of a long line break": "{\"b\":\r\n[\"a/b\",\"dg\"]}",
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(in)
			if !strings.HasPrefix(name, "JSON") {
				b = unhex(t, in)
			}
			n, form, err := cmw.Parse(b)
			if name == "long heads" || name == "long head of a tag" {
				// RFC 9999's look-ahead knows these by no first byte.
				form = cmw.CBOR
				n, err = cmw.ParseCBOR(b)
			}
			if err != nil {
				t.Fatal(err)
			}
			if cmw.Canonical(n, form, b) {
				t.Error("called canonical")
			}
		})
	}
}

func TestInvariant4HostileInputIsBounded_MalformedWrappersAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                       "",
		"empty array":                   "80",
		"one element":                   "81 63612f62",
		"four elements":                 "84 63612f62 4176 04 00",
		"trailing byte":                 "82 63612f62 4176 00",
		"trailing byte after a tag":     "da63740101 4176 00",
		"cut short":                     "83 63612f62 4176",
		"value is text":                 "82 63612f62 6176",
		"value is null":                 "82 63612f62 f6",
		"value is empty":                "82 63612f62 40",
		"type is bytes":                 "82 43612f62 4176",
		"type is null":                  "82 f6 4176",
		"type is negative":              "82 20 4176",
		"type is a float":               "82 f93c00 4176",
		"type beyond 16 bits":           "82 1a00010000 4176",
		"type is no media type":         "82 61 61 4176",
		"type of a space":               "82 64 612f6220 4176",
		"type is not UTF-8":             "82 63612fff 4176",
		"indicator 0":                   "83 63612f62 4176 00",
		"indicator 32":                  "83 63612f62 4176 1820",
		"indicator of 33 bits":          "83 63612f62 4176 1b0000000100000004",
		"indicator is negative":         "83 63612f62 4176 20",
		"indicator is null":             "83 63612f62 4176 f6",
		"indicator is a float":          "83 63612f62 4176 f94400",
		"tag below the range":           "da63740100 4176",
		"tag between formats":           "da63740200 4176",
		"tag above the range":           "da63750000 4176",
		"tag around a record":           "da63740101 8263612f624176",
		"tag around text":               "da63740101 6176",
		"empty collection":              "a0",
		"empty indefinite collection":   "bfff",
		"only a type":                   "a1 685f5f636d77635f74 63323a61",
		"type of collection is bytes":   "a2 6161 8263612f624131 685f5f636d77635f74 43746167",
		"type of collection is empty":   "a2 6161 8263612f624131 685f5f636d77635f74 60",
		"type of collection, no URI":    "a2 6161 8263612f624131 685f5f636d77635f74 63746167",
		"label twice":                   "a2 6161 8263612f624131 6161 8263612f624131",
		"label twice, other heads":      "a2 01 8263612f624131 1801 8263612f624131",
		"label is bytes":                "a1 4161 8263612f624131",
		"label is null":                 "a1 f6 8263612f624131",
		"label is a float":              "a1 f93c00 8263612f624131",
		"label is an array":             "a1 8101 8263612f624131",
		"label is a time":               "a1 c100 8263612f624131",
		"label beyond 64 bits":          "a1 1bffffffffffffffff 8263612f624131",
		"label is not UTF-8":            "a1 61ff 8263612f624131",
		"entry is text":                 "a1 6161 6162",
		"entry is null":                 "a1 6161 f6",
		"nested too deep":               "a16161a16161a16161a16161a16161 8263612f624131",
		"map claims more than is there": "bb7fffffffffffffff",
		"array claims more":             "9b7fffffffffffffff",
		"bytes claim more":              "82 63612f62 5b7fffffffffffffff",
		"JSON: record with a number":    `[30001,"dg"]`,
		"JSON: padding":                 `["a/b","dg=="]`,
		"JSON: standard alphabet":       `["a/b","//4"]`,
		"JSON: bits after the end":      `["a/b","dh"]`,
		"JSON: line break in value":     `["a/b","d\ng"]`,
		"JSON: empty value":             `["a/b",""]`,
		"JSON: null value":              `["a/b",null]`,
		"JSON: one element":             `["a/b"]`,
		"JSON: four elements":           `["a/b","dg",4,4]`,
		"JSON: indicator 0":             `["a/b","dg",0]`,
		"JSON: indicator 04":            `["a/b","dg",04]`,
		"JSON: indicator 32":            `["a/b","dg",32]`,
		"JSON: indicator 4.0":           `["a/b","dg",4.0]`,
		"JSON: indicator null":          `["a/b","dg",null]`,
		"JSON: trailing":                `["a/b","dg"]x`,
		"JSON: comma before the end":    `{"a":["a/b","dg"],}`,
		"JSON: empty collection":        `{}`,
		"JSON: only a type":             `{"__cmwc_t":"tag:a"}`,
		"JSON: relative type":           `{"__cmwc_t":"/a","a":["a/b","dg"]}`,
		"JSON: fragment in a type":      `{"__cmwc_t":"tag:a#b","a":["a/b","dg"]}`,
		"JSON: relative OID":            `{"__cmwc_t":"3.1","a":["a/b","dg"]}`,
		"JSON: two types":               `{"__cmwc_t":"tag:a","__cmwc_t":"tag:a","a":["a/b","dg"]}`,
		"JSON: label twice":             `{"a":["a/b","dg"],"\u0061":["a/b","dg"]}`,
		"JSON: half a surrogate":        `{"\ud83d":["a/b","dg"]}`,
		"JSON: control character":       "[\"a/b\",\"d\x01g\"]",
		"JSON: not UTF-8":               "{\"\xff\":[\"a/b\",\"dg\"]}",
		"JSON: unknown escape":          `{"\a":["a/b","dg"]}`,
		"JSON: text does not end":       `["a/b","dg`,
		"JSON: escape at the end":       `["a/b","dg\`,
		"JSON: nested too deep":         `{"a":{"a":{"a":{"a":{"a":["a/b","dg"]}}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(in)
			if !strings.HasPrefix(name, "JSON") {
				b = unhex(t, in)
			}
			if n, _, err := cmw.Parse(b); err == nil {
				t.Errorf("read as %+v", n)
			} else if !strings.HasPrefix(err.Error(), "cmw: ") {
				t.Errorf("error %q does not say whose it is", err)
			}
		})
	}
}

func TestInvariant4HostileInputIsBounded_LimitsHold(t *testing.T) {
	many := func(n int) *cmw.Node {
		c := new(cmw.Collection)
		for i := range n {
			c.Entries = append(c.Entries, cmw.Entry{Label: cmw.Text(fmt.Sprintf("%04d", i)), Node: record(cmw.MediaType("a/b"), "v", 0)})
		}
		return &cmw.Node{Collection: c}
	}
	nested := func(depth int) *cmw.Node {
		n := record(cmw.MediaType("a/b"), "v", 0)
		for range depth {
			n = cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{{Label: cmw.Text("a"), Node: n}}}}
		}
		return &n
	}
	sized := func(n int) *cmw.Node {
		return &cmw.Node{Record: &cmw.Record{Type: cmw.MediaType("a/b"), Value: make([]byte, n)}}
	}
	loop := &cmw.Node{Collection: &cmw.Collection{}}
	loop.Collection.Entries = []cmw.Entry{{Label: cmw.Text("a"), Node: *loop}}
	for name, c := range map[string]struct {
		n  *cmw.Node
		ok bool
	}{
		"most nodes":          {many(cmw.MaxNodes - 1), true},
		"one node more":       {many(cmw.MaxNodes), false},
		"deepest":             {nested(cmw.MaxDepth), true},
		"one deeper":          {nested(cmw.MaxDepth + 1), false},
		"largest":             {sized(cmw.MaxSize - 16), true},
		"larger":              {sized(cmw.MaxSize), false},
		"a loop":              {loop, false},
		"neither":             {&cmw.Node{}, false},
		"a tag with ind":      {&cmw.Node{Record: &cmw.Record{Type: cmw.ContentFormat(1), Value: []byte("v"), Ind: 1, Tag: true}}, false},
		"a tag of a name":     {&cmw.Node{Record: &cmw.Record{Type: cmw.MediaType("a/b"), Value: []byte("v"), Tag: true}}, false},
		"a tag out of range":  {&cmw.Node{Record: &cmw.Record{Type: cmw.ContentFormat(65025), Value: []byte("v"), Tag: true}}, false},
		"the reserved label":  {&cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{{Label: cmw.Text("__cmwc_t"), Node: record(cmw.MediaType("a/b"), "v", 0)}}}}, false},
		"a label twice":       {&cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{{Label: cmw.Text("a"), Node: record(cmw.MediaType("a/b"), "v", 0)}, {Label: cmw.Text("a"), Node: record(cmw.MediaType("a/b"), "v", 0)}}}}, false},
		"a label too long":    {&cmw.Node{Collection: &cmw.Collection{Entries: []cmw.Entry{{Label: cmw.Text(strings.Repeat("a", cmw.MaxLabel+1)), Node: record(cmw.MediaType("a/b"), "v", 0)}}}}, false},
		"a media type longer": {&cmw.Node{Record: &cmw.Record{Type: cmw.MediaType("a/b; c=" + strings.Repeat("d", cmw.MaxType)), Value: []byte("v")}}, false},
	} {
		b, err := c.n.CBOR()
		if (err == nil) != c.ok {
			t.Errorf("%s: writing: %v", name, err)
			continue
		}
		if !c.ok {
			continue
		}
		if n, _, err := cmw.Parse(b); err != nil || !cmw.Canonical(n, cmw.CBOR, b) {
			t.Errorf("%s: reading: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"CBOR": append([]byte{0x82, 0x63, 'a', '/', 'b', 0x5a, 0x01, 0, 0, 0}, make([]byte, cmw.MaxSize)...),
		"JSON": []byte(`["a/b","` + strings.Repeat("A", cmw.MaxSize) + `"]`),
	} {
		if _, _, err := cmw.Parse(b); err == nil {
			t.Errorf("%s of %d bytes is read", name, len(b))
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for s, ok := range map[string]bool{
		"a/b": true, "application/vnd.enarx.x+json": true, "a/b;c=d": true, "a/b ; c=d": true, `a/b; c=""`: true, `a/b; c="d;e"; f=g`: true,
		"": false, "a": false, "a/": false, "/b": false, "a/b/c": false, "a/b;": false, "a/b; c": false, "a/b; c=": false, "a/b; =d": false,
		"a/b c=d": false, "a/b; c=d ": false, `a/b; c="`: false, `a/b; c="d`: false, `a/b; c="d"e`: false, "a/b;c=d;": false, "a/é": false,
		" a/b": false, "a /b": false, "a/b\n": false, "a/b; c=\"\x00\"": false, ".a/b": false, `a/b; c="\`: false,
	} {
		n := record(cmw.MediaType(s), "v", 0)
		if _, err := n.CBOR(); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestCollectionTypes(t *testing.T) {
	for s, ok := range map[string]bool{
		"tag:a,2026:b": true, "urn:uuid:1": true, "https://a.example/b?c=d": true, "a+b.c-d:e": true, "x:%2f": true, "2.999": true, "1": true, "1.0.3": true,
		"a": false, ":a": false, "a:": false, "1a:b": false, "a:b#c": false, "a:b c": false, "a:%2": false, "a:%zz": false, "a:é": false,
		"3": false, "1..2": false, "1.": false, "1.02": false, "12.3": false, ".1": false, "a:\"": false, "a_b:c": false,
	} {
		n := cmw.Node{Collection: &cmw.Collection{Type: s, Entries: []cmw.Entry{{Label: cmw.Text("a"), Node: record(cmw.MediaType("a/b"), "v", 0)}}}}
		if _, err := n.CBOR(); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestRecordsAreWalkedWithTheirPaths(t *testing.T) {
	n, _, err := cmw.Parse([]byte(`{"b":["a/b","dg"],"a":{"y":["a/b","dg"],"x":["a/c","dg"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for l := range n.Records() {
		got = append(got, l.Where()+"="+l.Record.Type.String())
	}
	if want := []string{"a/x=a/c", "a/y=a/b", "b=a/b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range n.Records() {
		break // must be possible
	}
	if e := n.Collection.Get(cmw.Text("b")); e == nil || e.Record.Type != cmw.MediaType("a/b") {
		t.Errorf("Get: %+v", e)
	}
	if e := n.Collection.Get(cmw.Number(0)); e != nil {
		t.Errorf("Get of what is not there: %+v", e)
	}
}

func TestWordsForPeople(t *testing.T) {
	for got, want := range map[string]string{
		cmw.ContentFormat(263).String():                  "application/eat+cwt (content format 263)",
		cmw.ContentFormat(30001).String():                "content format 30001",
		(cmw.Evidence | cmw.Endorsements).String():       "endorsements, evidence",
		cmw.Ind(1 << 7).String():                         "unknown 0x80",
		cmw.CBOR.String() + cmw.JSON.String():            "CBORJSON",
		cmw.Number(-3).String() + cmw.Text("a").String(): "-3a",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestExtensions(t *testing.T) {
	for name, c := range map[string]struct {
		der  string
		form cmw.Form
	}{
		"CBOR":            {"0407 82 63612f62 4176", cmw.CBOR},
		"JSON":            {"0c0c 5b22612f62222c226467225d", cmw.JSON},
		"empty":           {"", 0},
		"trailing":        {"0407 82 63612f62 4176 00", 0},
		"CBOR as text":    {"0c07 82 63612f62 4176", 0},
		"JSON as octets":  {"040c 5b22612f62222c226467225d", 0},
		"another type":    {"1607 82 63612f62 4176", 0},
		"another class":   {"8407 82 63612f62 4176", 0},
		"constructed":     {"2409 0407 82 63612f62 4176", 0},
		"indefinite":      {"2480 0407 82 63612f62 4176 0000", 0},
		"long form of 7":  {"048107 82 63612f62 4176", 0},
		"length too long": {"0408 82 63612f62 4176", 0},
	} {
		n, form, err := cmw.ParseExtension(unhex(t, c.der))
		if (err == nil) != (c.form != 0) || err == nil && (form != c.form || n.Record.Type != cmw.MediaType("a/b")) {
			t.Errorf("%s: %+v, %v, %v", name, n, form, err)
		}
	}
}

// samples are the files of testdata, each a wrapper.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	names, _ := filepath.Glob("testdata/*.cmw")
	if len(names) == 0 {
		t.Fatal("testdata has no wrapper: nothing would be checked")
	}
	out := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = b
	}
	return out
}

func FuzzParse(f *testing.F) {
	for _, b := range samples(f) {
		f.Add(b)
	}
	for _, c := range good {
		f.Add(unhex(f, c.cbor))
		f.Add([]byte(c.json))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, form, err := cmw.Parse(b)
		if err != nil {
			return
		}
		write := n.CBOR
		if form == cmw.JSON {
			write = n.JSON
		}
		once, err := write()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if len(once) > len(b)*6+64 {
			t.Errorf("%d bytes became %d", len(b), len(once))
		}
		again, form2, err := cmw.Parse(once)
		if err != nil || form2 != form || !reflect.DeepEqual(again, n) {
			t.Fatalf("written and read again: %v\n%+v\n%+v", err, again, n)
		}
		if !cmw.Canonical(n, form, once) {
			t.Fatal("what was written is not canonical")
		}
	})
}

func FuzzParseExtension(f *testing.F) {
	for _, b := range samples(f) {
		if len(b) < 100 {
			f.Add(append([]byte{0x04, byte(len(b))}, b...))
			f.Add(append([]byte{0x0c, byte(len(b))}, b...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, form, err := cmw.ParseExtension(b); err == nil && (n == nil || form == 0) {
			t.Errorf("%v, %v", n, form)
		}
	})
}
