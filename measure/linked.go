// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"encoding/base64"
	"fmt"
	"time"
)

// alwaysFrom and alwaysTo are the dates of entries that are linked into a program: they count
// for as long as somebody uses it.
var (
	alwaysFrom = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	alwaysTo   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// Link gives the text that a build links into enarx for [Linked]: the entries
// of its own image. Nobody signs it: whoever runs that enarx trusts it already.
func Link(entries []Entry) (string, error) {
	var always []Entry
	for _, e := range entries {
		e.NotBefore, e.NotAfter = alwaysFrom, alwaysTo
		always = append(always, e)
	}
	body, err := encode(always)
	if err != nil {
		return "", err
	}
	if _, err := parse(body); err != nil {
		return "", err
	}
	text := base64.RawStdEncoding.EncodeToString(body)
	if len(text) > maxLinked {
		return "", fmt.Errorf("reference values: %d bytes to link, expected at most %d; link fewer entries", len(text), maxLinked)
	}
	return text, nil
}

// Linked reads what [Link] gave. An empty text is a program that was built
// without an image: no entries. Every entry must be of the Keep runtime whose
// SHA-256 digest is given; if one is not, the build is broken and nothing counts.
func Linked(text string, keepSHA256 [32]byte) ([]Entry, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxLinked {
		return nil, fmt.Errorf("linked reference values of %d bytes, expected at most %d", len(text), maxLinked)
	}
	body, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("linked reference values: %w", err)
	}
	entries, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("linked %w", err)
	}
	for _, e := range entries {
		if e.Image == nil || e.Image.KeepSHA256 != keepSHA256 {
			return nil, fmt.Errorf("linked reference values: one of platform %s is not of this build's Keep runtime sha256:%x; build the image again", e.Platform, keepSHA256)
		}
	}
	return entries, nil
}
