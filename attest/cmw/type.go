// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package cmw

import (
	"fmt"
	"strings"
)

// Type says what a value is: a media type with its parameters ("Content-Type"
// of RFC 9193) or, in CBOR only, a CoAP content format (RFC 7252, section 12.3).
// Types can be compared with ==; a media type and its content format differ.
type Type struct {
	name    string
	format  uint16
	numeric bool
}

// MediaType makes a type of a media type.
func MediaType(name string) Type { return Type{name: name} }

// ContentFormat makes a type of a CoAP content format.
func ContentFormat(n uint16) Type { return Type{format: n, numeric: true} }

// formats are the content formats that evidence and what goes with it come in
// (IANA, CoAP Content-Formats; RFC 9782 for EAT).
var formats = map[uint16]string{
	50:  "application/json",
	60:  "application/cbor",
	61:  "application/cwt",
	263: "application/eat+cwt",
	264: "application/eat+jwt",
	265: "application/eat-bun+cbor",
	266: "application/eat-bun+json",
	267: "application/eat-ucs+cbor",
	268: "application/eat-ucs+json",
	287: "application/pkix-cert",
}

// Name is the media type: the type's own or that of its content format. It is
// "" for a content format that this package does not know.
func (t Type) Name() string {
	if t.numeric {
		return formats[t.format]
	}
	return t.name
}

// Format is the content format, if the type is one.
func (t Type) Format() (n uint16, ok bool) { return t.format, t.numeric }

// String shows the type to people.
func (t Type) String() string {
	if !t.numeric {
		return t.name
	}
	if name := t.Name(); name != "" {
		return fmt.Sprintf("%s (content format %d)", name, t.format)
	}
	return fmt.Sprintf("content format %d", t.format)
}

func (t Type) check() error {
	if t.numeric {
		return nil
	}
	return checkMediaType(t.name)
}

// Tag numbers of content formats (RFC 9277, section 4.3 and appendix B). Every
// 256th number of the range is left out, because its low byte would be 0xff.
const (
	tagFirst = 1668546817
	tagLast  = 1668612095
	// formatLast is the last content format with a tag number.
	formatLast = 65024
)

func (t Type) tagNumber() (uint64, error) {
	if !t.numeric || t.format > formatLast {
		return 0, fmt.Errorf("cmw: a tag has a content format up to %d for a type, not %s", formatLast, quote(t.String()))
	}
	n := uint64(t.format)
	return tagFirst + n/255*256 + n%255, nil
}

func typeOfTag(tag uint64) (Type, error) {
	if tag < tagFirst || tag > tagLast || (tag-tagFirst)%256 == 255 {
		return Type{}, fmt.Errorf("cmw: tag %d, expected one of a content format (%d to %d)", tag, tagFirst, tagLast)
	}
	n := tag - tagFirst
	return ContentFormat(uint16(n/256*255 + n%256)), nil
}

// checkMediaType holds s to the grammar of Content-Type in RFC 9193, section 2:
// names as in RFC 6838, then parameters of which a value is a token or quoted.
func checkMediaType(s string) error {
	if len(s) > MaxType {
		return fmt.Errorf("cmw: media type of %d bytes, expected at most %d", len(s), MaxType)
	}
	head, rest, more := strings.Cut(s, ";")
	name, sub, ok := strings.Cut(strings.TrimRight(head, " "), "/")
	if !ok || !registered(name) || !registered(sub) || !more && strings.HasSuffix(head, " ") {
		return fmt.Errorf("cmw: %s is no media type", quote(s))
	}
	for more {
		if rest, more, ok = parameter(rest); !ok {
			return fmt.Errorf("cmw: media type %s has a malformed parameter", quote(s))
		}
	}
	return nil
}

// parameter reads name=value and the semicolon after it, if there is one.
func parameter(s string) (rest string, more, ok bool) {
	name, s, found := strings.Cut(strings.TrimLeft(s, " "), "=")
	if !found || !token(name) {
		return "", false, false
	}
	n := 0
	if strings.HasPrefix(s, "\"") {
		n = quoted(s)
	} else {
		for n < len(s) && tokenByte(s[n]) {
			n++
		}
	}
	if n == 0 {
		return "", false, false
	}
	trimmed := strings.TrimLeft(s[n:], " ")
	if trimmed == "" {
		return "", false, len(s) == n
	}
	return trimmed[1:], true, trimmed[0] == ';'
}

// quoted is the length of the quoted string that s begins with, or 0.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c == '\\' && i+1 < len(s) && s[i+1] >= 0x20 && s[i+1] < 0x7f:
			i++
		case c < 0x20 || c >= 0x7f || c == '\\':
			return 0
		}
	}
	return 0
}

// registered says whether s is a restricted-name of RFC 6838, section 4.2.
func registered(s string) bool {
	if s == "" || len(s) > 127 || !alphanumeric(s[0]) {
		return false
	}
	for _, c := range []byte(s[1:]) {
		if !alphanumeric(c) && !strings.ContainsRune("!#$&-^_.+", rune(c)) {
			return false
		}
	}
	return true
}

func token(s string) bool {
	for _, c := range []byte(s) {
		if !tokenByte(c) {
			return false
		}
	}
	return s != ""
}

// tokenByte is tchar of RFC 9110, section 5.6.2.
func tokenByte(c byte) bool {
	return alphanumeric(c) || c < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c))
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// checkCollectionType holds s to an absolute URI (RFC 3986, section 4.3: no
// fragment) or an object identifier.
func checkCollectionType(s string) error {
	switch {
	case len(s) > MaxCollectionType:
		return fmt.Errorf("cmw: collection type of %d bytes, expected at most %d", len(s), MaxCollectionType)
	case objectIdentifier(s) || absoluteURI(s):
		return nil
	}
	return fmt.Errorf("cmw: collection type %s is neither an absolute URI nor an object identifier", quote(s))
}

func objectIdentifier(s string) bool {
	for i, arc := range strings.Split(s, ".") {
		if arc == "" || len(arc) > 1 && arc[0] == '0' || i == 0 && arc > "2" {
			return false
		}
		if strings.Trim(arc, "0123456789") != "" {
			return false
		}
	}
	return len(s) > 0 && s[0] <= '2' && (len(s) == 1 || s[1] == '.')
}

func absoluteURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || rest == "" || !(scheme[0]|0x20 >= 'a' && scheme[0]|0x20 <= 'z') {
		return false
	}
	for _, c := range []byte(scheme) {
		if !alphanumeric(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		if c == '%' {
			if i+2 >= len(rest) || !hexDigit(rest[i+1]) || !hexDigit(rest[i+2]) {
				return false
			}
			i += 2
		} else if !alphanumeric(c) && (c >= 0x80 || !strings.ContainsRune("-._~:/?@!$&'()*+,;=[]", rune(c))) {
			return false
		}
	}
	return true
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
