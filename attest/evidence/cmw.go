// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

// findCMW takes a conceptual message wrapper in CBOR.
func findCMW(b []byte, depth int) (*Found, error) { return nil, nil }

func (f *Found) cmwExtension(der []byte, depth int) error { return nil }

func (f *Found) cmwBytes(b []byte, depth int) error {
	return malformed(formatRATLS, "tagged evidence of an unknown CBOR tag")
}

// findCMWJSON takes a conceptual message wrapper in JSON.
func findCMWJSON(t []byte, depth int) (*Found, error) { return nil, nil }
