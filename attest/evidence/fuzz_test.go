// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

// seeds are all vectors, and the raw ones in some text forms.
func seeds(f *testing.F) {
	n := 0
	for _, b := range allVectors(f) {
		if len(b) <= 64<<10 { // larger ones only slow the fuzzer down
			f.Add(b)
			n++
		}
	}
	for _, b := range rawEvidence(f) {
		f.Add([]byte(hex.EncodeToString(b[:min(len(b), 1200)])))
		f.Add([]byte(base64.StdEncoding.EncodeToString(b)))
	}
	if n < 180 {
		f.Fatalf("%d seeds: nothing would be shown", n)
	}
}

// FuzzFind: pieces or an error that says why, never both, nothing beyond the
// limits, and the file stays as it was.
func FuzzFind(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		found, err := Find(b)
		if !bytes.Equal(before, b) {
			t.Fatal("the file was changed")
		}
		if (found == nil) == (err == nil) {
			t.Fatalf("%v and %v", found, err)
		}
		if err != nil {
			var e *Error
			if !errors.Is(err, ErrUnknown) && (!errors.As(err, &e) || e.Reason == "" || e.Format == "") {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if len(found.Pieces) == 0 || len(found.Pieces) > maxPieces || found.Format == "" {
			t.Fatalf("%d pieces of %q", len(found.Pieces), found.Format)
		}
		for _, p := range found.Pieces {
			if p.Where == "" || p.Platform == "" || !evidenceType(p.Evidence.MediaType) || len(p.Evidence.Value) == 0 || len(p.Evidence.Value) > attest.MaxEvidence {
				t.Fatalf("piece %q of %q", p.Where, p.Platform)
			}
			if (p.ReportData == nil) != (p.ReportDataSource == "") || (p.HostData == nil) != (p.HostDataSource == "") {
				t.Fatal("an expectation without a source, or the other way round")
			}
		}
		for _, r := range found.Rows {
			if (r.Outcome == attest.Fail) != (r.Reason != "") || (r.Outcome == attest.Fail) != (r.Todo != "") {
				t.Fatalf("row %+v", r)
			}
		}
	})
}

// FuzzFindCollateral: what is taken has a type and content, and is described.
func FuzzFindCollateral(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		col, err := FindCollateral(b)
		if (len(col) == 0) == (err == nil) {
			t.Fatalf("%d entries and %v", len(col), err)
		}
		for _, e := range col {
			if e.MediaType == "" || len(e.Value) == 0 || Kind(e) == "" {
				t.Fatalf("entry %+v", e)
			}
			if d, err := DescribeCollateral(e); err == nil && (d.Title == "" || d.Kind == "" || len(d.Fields) == 0) {
				t.Fatalf("description %+v", d)
			}
		}
	})
}

// FuzzDescribe: fields lie within the evidence, and a description does not
// differ from itself.
func FuzzDescribe(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, describe := range []func() (*Description, error){
			func() (*Description, error) {
				return Describe(Piece{Evidence: attest.Evidence{MediaType: attest.MediaTypeSNP, Value: b}})
			},
			func() (*Description, error) {
				return Describe(Piece{Evidence: attest.Evidence{MediaType: attest.MediaTypeTDX, Value: b}})
			},
			func() (*Description, error) {
				return Describe(Piece{Evidence: attest.Evidence{MediaType: attest.MediaTypeNitro, Value: b}})
			},
			func() (*Description, error) { return DescribeWrapper(b) },
		} {
			d, err := describe()
			if err != nil {
				continue
			}
			paths := map[string]bool{}
			d.Parts(func(path string, f *Field) {
				if f.Offset < 0 || f.Size < 0 || f.Offset+f.Size > len(b) || f.Name == "" || paths[path] {
					t.Fatalf("field %s at %d+%d of %d bytes", path, f.Offset, f.Size, len(b))
				}
				paths[path] = true
			})
			if c := Diff([]*Description{d}, []*Description{d}); len(c) != 0 {
				t.Fatalf("differs from itself: %v", c)
			}
		}
	})
}
