// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package detcbor is CBOR with exactly one encoding for each value: the core
// deterministic encoding of RFC 8949 section 4.2.1. [Unmarshal] refuses every
// other encoding of the same value, duplicate and unknown map keys, indefinite
// lengths, tags and trailing bytes, so that bytes which were accepted can be
// hashed, compared and signed.
//
// Callers bound the number of input bytes; nesting, array and map sizes are
// bounded here, and the decoder allocates no more than the input justifies.
package detcbor

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of one value. They are far above every message of this module and far
// below what would hurt.
const (
	maxNesting = 8
	maxArray   = 1 << 16
	maxMap     = 1 << 12
)

var enc = must(cbor.CoreDetEncOptions().EncMode())

var dec = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	MaxNestedLevels:   maxNesting,
	MaxArrayElements:  maxArray,
	MaxMapPairs:       maxMap,
	UTF8:              cbor.UTF8RejectInvalid,
}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic("detcbor: internal error: " + err.Error()) // constant options; no input can cause it
	}
	return v
}

// Marshal gives the one encoding of v.
func Marshal(v any) ([]byte, error) {
	b, err := enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// Unmarshal reads p into the value that v points to. It is an error if p is
// not exactly what Marshal makes of the result.
func Unmarshal(p []byte, v any) error {
	if err := dec.Unmarshal(p, v); err != nil {
		return fmt.Errorf("malformed %T: %w", v, err)
	}
	again, err := enc.Marshal(v)
	if err != nil {
		return fmt.Errorf("malformed %T: %w", v, err)
	}
	if !bytes.Equal(again, p) {
		return fmt.Errorf("malformed %T: not in deterministic form", v)
	}
	return nil
}
