// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package cmw reads and writes conceptual message wrappers (RFC 9999): the
// common way to say of some bytes what they are, and to put several such
// together.
//
//	n, form, err := cmw.Parse(file)
//	for r := range n.Records() { … r.Record.Type, r.Record.Value … }
//	b, err := n.CBOR() // or n.JSON()
//
// A wrapper is a tree. Its leaves are records, [type, value, ind], where type is
// a media type or, in CBOR, a CoAP content format, and ind says which of the
// RATS conceptual messages the value holds. A record of a content format may
// also be a CBOR tag around the value (RFC 9277, TN). Inner nodes are
// collections: labelled records, tags and collections, with an optional type of
// the whole, "__cmwc_t".
//
// A wrapper protects nothing. What comes out of [Parse] is a stranger's word,
// and what it means for the values to be together is for whoever defined the
// collection's type.
//
// # What is accepted
//
// The RFC leaves CBOR and JSON their freedom, so readers take indefinite
// lengths, longer heads than needed, white space, and members in any order.
// Nothing else is forgiven: a label that comes twice, anything that follows, an
// ind of zero or with a bit that no RFC has registered, padding or line breaks
// in base64url, a number for a type in JSON, a tag outside of the range of TN,
// null, floating point numbers, byte strings for labels. Size, depth and number
// of entries are bounded (limits.go). A value must have at least one byte: JSON
// cannot say an empty one, and it would wrap nothing.
//
// # What is written
//
// One form for each tree and serialisation: in CBOR the core deterministic
// encoding (RFC 8949, section 4.2.1), in JSON no white space, members in the
// order of their labels' UTF-8 bytes and no escape that JSON does not demand.
// [Canonical] tells whether given bytes have that form.
//
// Signed wrappers (application/cmw+cose, application/cmw+jws) are somebody
// else's business: open the envelope first and hand the payload to this package.
package cmw
