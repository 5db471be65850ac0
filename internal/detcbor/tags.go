// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package detcbor

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Tag is a tagged value (RFC 8949 section 3.4) whose content is decoded by who
// knows the number.
type Tag = cbor.RawTag

// Raw is one encoded value, not decoded yet.
type Raw = cbor.RawMessage

var decTags = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	MaxNestedLevels:   maxTaggedNesting,
	MaxArrayElements:  maxArray,
	MaxMapPairs:       maxMap,
	UTF8:              cbor.UTF8RejectInvalid,
}.DecMode())

// maxTaggedNesting is more than maxNesting: each tag is a level, too.
const maxTaggedNesting = 16

// UnmarshalTagged is [Unmarshal] for formats with tags: v has a [Tag] wherever
// one may stand. A tag elsewhere is an error, since the value would be encoded
// without it.
func UnmarshalTagged(p []byte, v any) error {
	if err := decTags.Unmarshal(p, v); err != nil {
		return fmt.Errorf("malformed %T: %w", v, err)
	}
	again, err := enc.Marshal(v)
	if err != nil {
		return fmt.Errorf("malformed %T: %w", v, err)
	}
	if !bytes.Equal(again, p) {
		return fmt.Errorf("malformed %T: not in deterministic form, or with a tag where none may be", v)
	}
	return nil
}
