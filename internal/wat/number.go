// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// integer reads a literal of an integer type of the given width: signed down
// to -2^(bits-1) or unsigned up to 2^bits-1 (section 6.3.1).
func integer(n *node, bits uint) int64 {
	if n.kind != atom {
		failAt(n.pos, "expected an integer, found %s", n.what())
	}
	s, neg := n.text, false
	if s[0] == '+' || s[0] == '-' {
		neg, s = s[0] == '-', s[1:]
	}
	v, ok := magnitude(s)
	if !ok {
		failAt(n.pos, "expected an integer, found %s", n.what())
	}
	limit := new(big.Int).Lsh(big.NewInt(1), bits)
	if neg {
		limit.Rsh(limit, 1).Add(limit, big.NewInt(1))
	}
	if v.Cmp(limit) >= 0 {
		failAt(n.pos, "%s does not fit into %d bits", quote(n.text), bits)
	}
	u := v.Uint64()
	if neg {
		u = -u
	}
	if bits == 32 {
		return int64(int32(u))
	}
	return int64(u)
}

// unsigned reads an unsigned literal of at most 32 bits: indices, limits,
// offsets.
func unsigned(n *node) uint32 {
	v, ok := unsignedText(n.text)
	if n.kind != atom || !ok {
		failAt(n.pos, "expected an unsigned 32-bit number, found %s", n.what())
	}
	return v
}

func unsignedText(s string) (uint32, bool) {
	v, ok := magnitude(s)
	if !ok || !v.IsUint64() || v.Uint64() > math.MaxUint32 {
		return 0, false
	}
	return uint32(v.Uint64()), true
}

// magnitude reads decimal or 0x hexadecimal digits.
func magnitude(s string) (*big.Int, bool) {
	base := 10
	if strings.HasPrefix(s, "0x") {
		base, s = 16, s[2:]
	}
	d, ok := digits(s, base)
	// 64 bits have 20 decimal digits; leading zeros are allowed, a million
	// digits of attack on the big-number code are not.
	d = strings.TrimLeft(d, "0")
	if !ok || len(d) > 20 {
		return nil, false
	}
	if d == "" {
		return new(big.Int), true
	}
	return new(big.Int).SetString(d, base)
}

// digits checks digits with single underscores between them, and removes
// these.
func digits(s string, base int) (string, bool) {
	if s == "" || s[0] == '_' || s[len(s)-1] == '_' || strings.Contains(s, "__") {
		return "", false
	}
	s = strings.ReplaceAll(s, "_", "")
	for _, c := range []byte(s) {
		if v := hexVal(c); v < 0 || v >= base {
			return "", false
		}
	}
	return s, true
}

// float reads a floating-point literal and returns its bits, little-endian.
func float(n *node, bits int) []byte {
	if n.kind != atom {
		failAt(n.pos, "expected a number, found %s", n.what())
	}
	s, neg := n.text, false
	if s[0] == '+' || s[0] == '-' {
		neg, s = s[0] == '-', s[1:]
	}
	mant, exp := 52, uint64(0x7ff)
	if bits == 32 {
		mant, exp = 23, 0xff
	}
	var v uint64
	switch {
	case s == "inf":
		v = exp << mant
	case s == "nan":
		v = exp<<mant | 1<<(mant-1)
	case strings.HasPrefix(s, "nan:0x"):
		p, ok := magnitude(s[len("nan:"):])
		if !ok || !p.IsUint64() || p.Uint64() == 0 || p.Uint64() >= 1<<mant {
			failAt(n.pos, "the payload of %s is not between 1 and 2^%d-1", quote(n.text), mant)
		}
		v = exp<<mant | p.Uint64()
	default:
		v = finite(n, s, bits)
	}
	if neg {
		v |= 1 << (bits - 1)
	}
	if bits == 32 {
		return binary.LittleEndian.AppendUint32(nil, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(nil, v)
}

// finite reads decimal or hexadecimal digits with fraction and exponent,
// rounded to nearest, ties to even.
func finite(n *node, s string, bits int) uint64 {
	base, mark := 10, "eE"
	body := s
	if strings.HasPrefix(s, "0x") {
		base, mark, body = 16, "pP", s[2:]
	}
	num, exp := body, ""
	if i := strings.IndexAny(body, mark); i >= 0 {
		num, exp = body[:i], body[i+1:]
		e := strings.TrimLeft(exp, "+-")
		d, ok := digits(e, 10)
		if !ok || len(exp)-len(e) > 1 {
			failAt(n.pos, "expected a number, found %s", n.what())
		}
		exp = exp[:len(exp)-len(e)] + d
	}
	whole, frac, dotted := strings.Cut(num, ".")
	w, ok := digits(whole, base)
	if !ok {
		failAt(n.pos, "expected a number, found %s", n.what())
	}
	f := ""
	if dotted && frac != "" {
		if f, ok = digits(frac, base); !ok {
			failAt(n.pos, "expected a number, found %s", n.what())
		}
	}
	canon := w + "." + f + "0"
	switch {
	case base == 16 && exp == "":
		canon = "0x" + canon + "p0"
	case base == 16:
		canon = "0x" + canon + "p" + exp
	case exp != "":
		canon += "e" + exp
	}
	v, err := strconv.ParseFloat(canon, bits)
	if err != nil {
		failAt(n.pos, "%s is out of the range of f%d", quote(n.text), bits)
	}
	if bits == 32 {
		return uint64(math.Float32bits(float32(v)))
	}
	return math.Float64bits(v)
}
