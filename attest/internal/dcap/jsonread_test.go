// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// sameAsEncodingJSON checks that what our reader takes, encoding/json takes and
// reads as the same. Only names in another case are none to us.
func sameAsEncodingJSON(t *testing.T, b []byte) {
	t.Helper()
	var mine, theirs tcbInfo
	if err := decodeTCBInfo(b, &mine); err == nil && exactNames(t, b) {
		if err := json.Unmarshal(b, &theirs); err != nil || !sameValue(mine, theirs) {
			t.Fatalf("TCB info: we read %+v, encoding/json %+v, %v", mine, theirs, err)
		}
	}
	var q, other qeIdentity
	if err := decodeQEIdentity(b, &q); err == nil && exactNames(t, b) {
		if err := json.Unmarshal(b, &other); err != nil || !sameValue(q, other) {
			t.Fatalf("QE identity: we read %+v, encoding/json %+v, %v", q, other, err)
		}
	}
}

// sameValue compares what a document says; an empty list and none are the same.
func sameValue(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	fold := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("[]"), []byte("null")) }
	return errX == nil && errY == nil && bytes.Equal(fold(x), fold(y))
}

// exactNames says whether b has no name that encoding/json would take for one
// of ours although it is written otherwise.
func exactNames(t *testing.T, b []byte) bool {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("taken, and no JSON: %v", err)
	}
	exact := true
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				for _, known := range jsonNames {
					exact = exact && (name == known || !strings.EqualFold(name, known))
				}
				walk(e)
			}
		}
	}
	walk(v)
	return exact
}

// jsonNames are the names in the tags of the documents' types.
var jsonNames = func() (names []string) {
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				if tag := t.Field(i).Tag.Get("json"); tag != "" {
					names = append(names, tag)
					walk(t.Field(i).Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[tcbInfo]())
	walk(reflect.TypeFor[qeIdentity]())
	return names
}()

// Every document of the vectors is read as encoding/json reads it.
func TestDocumentsReadAsByEncodingJSON(t *testing.T) {
	if len(jsonNames) < 25 {
		t.Fatalf("%d names: nothing would be compared", len(jsonNames))
	}
	n := 0
	for _, b := range files(t, 20, "*/collateral/*/tcbinfo.json", "*/collateral/*/qeidentity.json") {
		for _, name := range []string{"tcbInfo", "enclaveIdentity"} {
			d, err := splitDocument(b, name)
			if err != nil {
				continue
			}
			n++
			sameAsEncodingJSON(t, d.body)
			var info tcbInfo
			var id qeIdentity
			if name == "tcbInfo" {
				err = decodeTCBInfo(d.body, &info)
			} else {
				err = decodeQEIdentity(d.body, &id)
			}
			if err != nil || len(info.Levels)+len(id.Levels) == 0 {
				t.Errorf("%.60s: %v", d.body, err)
			}
		}
	}
	if n < 20 {
		t.Fatalf("%d documents compared", n)
	}
}

func TestInvariant4HostileInputIsBounded_JSON(t *testing.T) {
	deep := strings.Repeat(`{"x":`, 40) + "1" + strings.Repeat("}", 40)
	wide := `{"a":1`
	for i := range maxJSONNames {
		wide += `,"` + strings.Repeat("b", i+1) + `":1`
	}
	for body, want := range map[string]string{
		`{"id":"SGX","version":3,"x":[{"y":[1.5e3,-1,true,false,null,"\u00e9\n"]},{}, [ ] ],"tcbLevels":[]} `: "",
		`{"version":null}`:                       "",
		`{"\u0069d":"SGX"}`:                      "",
		``:                                       "no {",
		`[]`:                                     "no {",
		`{}x`:                                    "after the end",
		"{}\x00":                                 "after the end",
		`{`:                                      `no "`,
		`{"id":"SGX",}`:                          `no "`,
		`{"id" "SGX"}`:                           "no :",
		`{"id":"SGX"`:                            "no }",
		`{"id":"SGX","id":"TDX"}`:                "twice",
		`{"id":"SGX","ID":"TDX"}`:                "twice",
		`{"x":1,"x":1}`:                          "twice",
		`{"id":7}`:                               `no "`,
		`{"id":"SGX`:                             "without end",
		`{"id":"SGX\`:                            "without end",
		`{"id":"\q"}`:                            "no string",
		"{\"id\":\"\n\"}":                        "no string",
		`{"version":-1}`:                         "whole number",
		`{"version":03}`:                         "whole number",
		`{"version":3.0}`:                        "whole number",
		`{"version":3e0}`:                        "whole number",
		`{"version":99999999999999999999}`:       "whole number",
		`{"version":"3"}`:                        "whole number",
		`{"tcbEvaluationDataNumber":4294967296}`: "whole number",
		`{"fmspc":"0"}`:                          "hexadecimal",
		`{"fmspc":"zz"}`:                         "hexadecimal",
		`{"issueDate":"yesterday"}`:              "date",
		`{"x":nul}`:                              "no value",
		`{"x":01}`:                               "no value",
		`{"x":}`:                                 "no value",
		`{"x":[1,]}`:                             "no value",
		`{"x":[1 2]}`:                            "no ]",
		`{"tcbLevels":[{"tcb":{"sgxtcbcomponents":[{"svn":256}]}}]}`: "from 0 to 255",
		deep:       "too deep",
		wide + "}": "too many",
	} {
		var info tcbInfo
		err := decodeTCBInfo([]byte(body), &info)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, expected %q", body, err, want)
		}
		if (err == nil) && !json.Valid([]byte(body)) {
			t.Errorf("%.80s: taken, and no JSON", body)
		}
	}
	// Seventeen components and more are read, and refused by their count.
	many := `{"tcbLevels":[{"tcb":{"sgxtcbcomponents":[` + strings.TrimSuffix(strings.Repeat(`{"svn":1},`, 5000), ",") + `]}}]}`
	var info tcbInfo
	if err := decodeTCBInfo([]byte(many), &info); err != nil || len(info.Levels[0].TCB.SGX) != 17 {
		t.Errorf("%v, %d components, expected 17", err, len(info.Levels[0].TCB.SGX))
	}
}

// BenchmarkDocument reads a TCB info: allocations do not depend on its
// components.
func BenchmarkDocument(b *testing.B) {
	d, err := splitDocument(file(b, "tdx/collateral/00806f050000-2025-01/tcbinfo.json"), "tcbInfo")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := decodeTCBInfo(d.body, &tcbInfo{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(d.body, &tcbInfo{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
