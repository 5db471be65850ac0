// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/evidencebundle"
)

// Evidence and collateral come out of a bundle as they went in, and nothing
// that its maker demanded becomes a demand.
func TestBundleIsTakenApart(t *testing.T) {
	n := 0
	for _, v := range corpus.Vectors(t) {
		plain, err := Find(v.Parts[0].Value)
		if err != nil || len(plain.Pieces) != 1 {
			continue
		}
		b := &evidencebundle.Bundle{
			Evidence: v.Evidence(), Collateral: v.Collateral(), Verdict: []byte("{}"),
			Request: evidencebundle.Request{At: v.At, Maker: "test", ReportData: &[64]byte{1}, HostData: &[32]byte{1}},
		}
		file, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f, err := Find(file)
		if err != nil || f.Format != formatBundle || len(f.Pieces) != 1 {
			t.Fatalf("%s: %+v, %v", v.Name, f, err)
		}
		p, want := f.Pieces[0], plain.Pieces[0]
		if !bytes.Equal(p.Evidence.Value, want.Evidence.Value) || p.Platform != want.Platform || !reflect.DeepEqual(p.Collateral, append(want.Collateral, v.Collateral()...)) {
			t.Errorf("%s: %+v", v.Name, p)
		}
		if !reflect.DeepEqual(p.ReportData, want.ReportData) || !reflect.DeepEqual(p.HostData, want.HostData) {
			t.Errorf("%s: the bundle's demands are taken over", v.Name)
		}
		if n++; n == 1 {
			file[len(file)/2] ^= 1
			var known *Error
			if _, err := Find(file); !errors.As(err, &known) || known.Format != formatBundle {
				t.Errorf("a damaged bundle: %v", err)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d vectors compared", n)
	}
}
