// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

// findText takes what is written as text: PEM, JSON, hexadecimal, base64.
func findText(b []byte, depth int) (*Found, error) {
	if !isText(b) {
		return nil, nil
	}
	t := bytes.TrimSpace(b)
	switch {
	case len(t) == 0:
		return nil, nil
	case bytes.HasPrefix(t, pemBegin):
		return findPEM(t, depth)
	case t[0] == '{' || t[0] == '[':
		return findJSON(t, depth)
	case isJWT(t):
		return nil, unsupported("jwt", "a signed token, such as the result of somebody else's appraisal, and no evidence",
			"give the evidence that it was issued for")
	}
	if raw, ok := unhex(t); ok {
		f, err := find(raw, depth+1)
		switch {
		case err == nil:
			return f.wrapped(f.Format+"+hex", "the hexadecimal text"), nil
		case !errors.Is(err, ErrUnknown):
			return nil, err
		}
	}
	raw, ok := unbase64(t)
	if !ok {
		return nil, nil
	}
	f, err := find(raw, depth+1)
	if err != nil {
		return nil, err
	}
	return f.wrapped(f.Format+"+base64", "the base64 text"), nil
}

// isText says whether b is printable ASCII with white space, which is all that
// the text forms need. UTF-8 within JSON strings counts too.
func isText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isJWT recognises three parts of base64url with dots between them, the first
// a JSON object.
func isJWT(t []byte) bool {
	return bytes.HasPrefix(t, []byte("eyJ")) && bytes.Count(t, []byte{'.'}) == 2
}

// packed gives t without white space, if all of the rest is in the alphabet.
func packed(t []byte, alphabet *[256]bool) ([]byte, bool) {
	n := 0
	for _, c := range t {
		switch {
		case alphabet[c]:
			n++
		case c != ' ' && c != '\n' && c != '\r' && c != '\t':
			return nil, false
		}
	}
	if n == len(t) {
		return t, n > 0
	}
	p := make([]byte, 0, n)
	for _, c := range t {
		if alphabet[c] {
			p = append(p, c)
		}
	}
	return p, n > 0
}

// Alphabets of text: hexadecimal, and base64 of both kinds with its padding.
var (
	hexDigits    = alphabet("0123456789abcdefABCDEF")
	base64Digits = alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
)

func alphabet(s string) *[256]bool {
	var a [256]bool
	for _, c := range []byte(s) {
		a[c] = true
	}
	return &a
}

// unhex reads hexadecimal of either case, in lines or not, with or without 0x
// in front.
func unhex(t []byte) ([]byte, bool) {
	t, _ = bytes.CutPrefix(t, []byte("0x"))
	t, ok := packed(t, hexDigits)
	if !ok || len(t)%2 != 0 {
		return nil, false
	}
	b := make([]byte, hex.DecodedLen(len(t)))
	if _, err := hex.Decode(b, t); err != nil {
		return nil, false
	}
	return b, true
}

// unbase64 reads base64 of either alphabet, in lines or not, padded or not.
// Bits beyond the last byte must be zero: one value has one last character.
func unbase64(t []byte) ([]byte, bool) {
	t, ok := packed(t, base64Digits)
	if !ok {
		return nil, false
	}
	enc := base64.StdEncoding
	if bytes.ContainsAny(t, "-_") {
		enc = base64.URLEncoding
	}
	if len(t)%4 != 0 {
		enc = enc.WithPadding(base64.NoPadding)
	}
	b := make([]byte, enc.DecodedLen(len(t)))
	n, err := enc.Strict().Decode(b, t)
	if err != nil || n == 0 {
		return nil, false
	}
	return b[:n], true
}

var (
	pemBegin = []byte("-----BEGIN ")
	pemEnd   = []byte("-----END ")
	pemDash  = []byte("-----")
)

// block is one block of PEM.
type block struct {
	label string
	data  []byte
}

// splitPEM takes PEM apart (RFC 7468). It is stricter than encoding/pem, which
// reads over whatever stands between blocks: nothing in a file is ignored here.
func splitPEM(t []byte) ([]block, error) {
	var blocks []block
	t = bytes.TrimRight(t, "\x00") // some quotes end their certificates with one
	for {
		if t = bytes.TrimLeft(t, " \t\r\n"); len(t) == 0 {
			return blocks, nil
		}
		if len(blocks) == maxBlocks {
			return nil, fmt.Errorf("more than %d blocks of PEM", maxBlocks)
		}
		n := len(blocks) + 1
		rest, ok := bytes.CutPrefix(t, pemBegin)
		label, rest, found := bytes.Cut(rest, pemDash)
		if !ok || !found || len(label) == 0 || len(label) > maxShown || bytes.ContainsAny(label, "\r\n") {
			return nil, fmt.Errorf("text that is no block of PEM before block %d; remove it", n)
		}
		end := append(append(bytes.Clone(pemEnd), label...), pemDash...)
		body, after, found := bytes.Cut(rest, end)
		if !found || bytes.Contains(body, pemDash) {
			return nil, fmt.Errorf("block %d of PEM (%s) does not end", n, label)
		}
		data, ok := unbase64(body)
		if !ok || bytes.ContainsAny(body, "-_") {
			return nil, fmt.Errorf("block %d of PEM (%s) is not in base64", n, label)
		}
		blocks, t = append(blocks, block{string(label), data}), after
	}
}

// findPEM takes evidence out of PEM; certificates without evidence are
// collateral of the pieces that others hold.
func findPEM(t []byte, depth int) (*Found, error) {
	blocks, err := splitPEM(t)
	if err != nil {
		return nil, malformed("pem", "%w", err)
	}
	var found *Found
	var col attest.Collateral
	for i, bl := range blocks {
		where := fmt.Sprintf("block %d of PEM (%s)", i+1, shown(bl.label))
		f, err := find(bl.data, depth+1)
		switch {
		case err == nil && found == nil:
			found = f.wrapped(f.Format+"+pem", where)
		case err == nil:
			found.add(f.wrapped(f.Format+"+pem", where))
		case !errors.Is(err, ErrUnknown):
			return nil, err
		default:
			more, err := derCollateral(bl.data)
			if err != nil {
				return nil, fmt.Errorf("%w: %s is neither evidence nor a certificate nor a revocation list", ErrUnknown, where)
			}
			col = append(col, more...)
		}
	}
	if found == nil {
		return nil, ErrUnknown
	}
	for i := range found.Pieces {
		found.Pieces[i].Collateral = append(found.Pieces[i].Collateral, col...)
	}
	return found, nil
}
