// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/internal/tcbpolicy"
)

// lenient accepts every status that can be accepted, so that a damaged part
// cannot hide behind a status.
var lenient = accept(
	[]Status{SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded, TDRelaunchAdvised},
	strings.Split(gcpAdvisories+", "+iceAdvisories+", INTEL-SA-00219, INTEL-SA-00289, INTEL-SA-00334, INTEL-SA-00982, INTEL-SA-00986", ", ")...,
)

// acceptedByName are the vectors that fail by their status alone, which can be
// accepted by name.
func acceptedByName(t testing.TB) []real {
	var list []real
	for _, r := range reals {
		if p, quote, col, at := r.load(t); r.fails == "tcb" {
			if ok, _ := appraiseUnder(p, lenient, quote, col, at); ok {
				list = append(list, r)
			}
		}
	}
	if len(list) < 8 {
		t.Fatalf("%d vectors are accepted by name, expected 8 or more", len(list))
	}
	return list
}

func clonedQuote(t testing.TB, b []byte) *Quote {
	t.Helper()
	q, err := ParseQuote(bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// rebuild writes the quote again from its parts.
func rebuild(q *Quote) []byte {
	inner := slices.Concat(q.qeReport, q.qeSig, binary.LittleEndian.AppendUint16(nil, uint16(len(q.qeAuth))), q.qeAuth,
		binary.LittleEndian.AppendUint16(nil, q.certType), binary.LittleEndian.AppendUint32(nil, uint32(len(q.certData))), q.certData)
	data := slices.Concat(q.signature, q.key)
	if q.Version >= 4 {
		data = binary.LittleEndian.AppendUint16(data, certQEReport)
		data = binary.LittleEndian.AppendUint32(data, uint32(len(inner)))
	}
	data = append(data, inner...)
	return slices.Concat(q.signed, binary.LittleEndian.AppendUint32(nil, uint32(len(data))), data, q.Trailing)
}

func TestInvariant4HostileInputIsBounded_Quote(t *testing.T) {
	for _, r := range reals {
		quote := file(t, r.name+".quote.bin")
		q, err := ParseQuote(quote)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(rebuild(q), quote) {
			t.Errorf("%s: not the same bytes again", r.name)
		}
		for n := range len(quote) - len(q.Trailing) {
			if q, err := ParseQuote(quote[:n]); err == nil || q != nil {
				t.Fatalf("%s cut to %d bytes: taken", r.name, n)
			}
		}
	}
	// Lengths that promise more than there is, or less.
	base := file(t, "tdx/v5-90c06f-td15.quote.bin")
	q := clonedQuote(t, base)
	sig := len(q.signed)
	auth := sig + 4 + signatureSize + keySize + 6 + enclaveReportSize + signatureSize
	for name, at := range map[string]int{
		"body": headerSize + 2, "signature data": sig, "QE report": sig + 4 + signatureSize + keySize + 2, "certificates": auth + 2 + len(q.qeAuth) + 2,
	} {
		for _, d := range []uint32{1, ^uint32(0), 1 << 16, 1 << 31, 0xffff0000} {
			b := bytes.Clone(base)
			binary.LittleEndian.PutUint32(b[at:], binary.LittleEndian.Uint32(b[at:])+d)
			if _, err := ParseQuote(b); err == nil {
				t.Errorf("length of %s changed by %#x: taken", name, d)
			}
		}
	}
	for _, d := range []uint16{1, 0xffff, 0x8000} {
		b := bytes.Clone(base)
		binary.LittleEndian.PutUint16(b[auth:], binary.LittleEndian.Uint16(b[auth:])+d)
		if _, err := ParseQuote(b); err == nil {
			t.Errorf("length of the QE authentication data changed by %#x: taken", d)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "100 MB": make([]byte, 100<<20), "one too long": append(bytes.Clone(base), make([]byte, maxQuote+1-len(base))...),
	} {
		if _, err := ParseQuote(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	twice := append(bytes.Clone(base), base...)
	if q, err := ParseQuote(twice); err != nil || !bytes.Equal(q.Trailing, base) {
		t.Errorf("twice: %v", err)
	}
	p, _, col, at := reals[13].load(t)
	if ok, v := appraise(p, twice, col, at); ok || failures(v) != "format" {
		t.Errorf("twice: failed rows %q", failures(v))
	}
}

// The root's revocation list of the vendor's sample data: the right name, signed
// by another key. And the root itself.
func TestLookalikeRoot(t *testing.T) {
	lookalike := attest.Evidence{MediaType: attest.MediaTypeCRL, Value: file(t, "tdx/bad-lookalike-root.crl.der")}
	rootPEM := attest.Evidence{MediaType: attest.MediaTypePEMChain, Value: file(t, "tdx/bad-lookalike-root.pem")}
	for _, r := range accepted() {
		p, quote, col, at := r.load(t)
		replaced := slices.Clone(col)
		for i, e := range replaced {
			if e.MediaType == attest.MediaTypeCRL {
				replaced[i] = lookalike
				break
			}
		}
		for name, x := range map[string]struct {
			col  attest.Collateral
			row  string
			seen string
		}{
			"list in place":   {replaced, "revocation", "not signed by the issuer it names"},
			"list beside":     {append(slices.Clone(col), lookalike), "revocation", "not signed by the issuer it names"},
			"root beside":     {append(slices.Clone(col), rootPEM), "chain", "a foreign root"},
			"a signed number": {swap(col, attest.MediaTypeIntelTCBInfo, numbersAsInfo(t)), "tcb-info", "TCB info"},
		} {
			ok, v := appraise(p, quote, x.col, at)
			if ok || row(v, x.row).Outcome != attest.Fail || !strings.Contains(row(v, x.row).Seen, x.seen) {
				t.Errorf("%s, %s: failed rows %q, %q", r.name, name, failures(v), row(v, x.row).Seen)
			}
		}
	}
}

// numbersAsInfo puts another document of Intel's TCB signer into the frame of a
// TCB info; the signature covers the body only and still verifies.
func numbersAsInfo(t testing.TB) []byte {
	t.Helper()
	return bytes.Replace(file(t, "tdx/tcb-evaluation-data-numbers-2025-10.json"), []byte("tcbEvaluationDataNumbers"), []byte("tcbInfo"), 1)
}

func TestStrictPEM(t *testing.T) {
	block, _ := pem.Decode(file(t, "tdx/bad-lookalike-root.pem"))
	good := string(pem.EncodeToMemory(block))
	for name, x := range map[string]struct {
		text string
		n    int
	}{
		"one": {good, 1}, "two": {good + good, 2}, "crlf": {strings.ReplaceAll(good, "\n", "\r\n"), 1},
		"NULs after": {good + "\x00\x00", 1}, "no last line end": {strings.TrimSpace(good), 1}, "no line ends between": {strings.TrimSpace(good) + strings.TrimSpace(good), 2},
		"nothing": {"", 0}, "NULs": {"\x00", 0}, "text before": {"x" + good, 0}, "text after": {good + "x", 0}, "space": {" " + good, 0},
		"NUL between": {good + "\x00" + good, 0}, "no end": {good[:len(good)-5], 0}, "headers": {strings.Replace(good, "\n", "\nA: b\n\n", 1), 0},
		"other type": {strings.ReplaceAll(good, "CERTIFICATE", "PRIVATE KEY"), 0}, "space within": {strings.Replace(good, "M", " ", 1), 0},
		"stray bits": {strayBits(good), 0}, "17": {strings.Repeat(good, 17), 0}, "empty": {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 0}, "end within a line": {strings.Replace(good, "\n-----END", "-----END", 1), 0},
		"long": {strings.Replace(good, "\n", "\n"+strings.Repeat("A", 20000), 1), 0},
	} {
		ders, err := splitPEM([]byte(x.text))
		if len(ders) != x.n || (err == nil) != (x.n > 0) {
			t.Errorf("%s: %d certificates, %v, expected %d", name, len(ders), err, x.n)
		}
		for _, der := range ders {
			if !bytes.Equal(der, block.Bytes) {
				t.Errorf("%s: another certificate", name)
			}
		}
	}
}

// strayBits gives another spelling of the same base64, which encoding/pem takes.
func strayBits(text string) string {
	i := strings.Index(text, "=\n-----END")
	if i < 0 {
		return "no padding in " + text
	}
	if text[i-1] == '=' {
		i--
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := []byte(text)
	b[i-1] = alphabet[strings.IndexByte(alphabet, b[i-1])^1]
	return string(b)
}

// The cache remembers good signatures by their exact bytes, and nothing else.
func TestCache(t *testing.T) {
	v := dcaptest.New(t)
	message := []byte("message")
	sig := v.Raw(v.PCK, message)
	c := NewCache(2)
	check := func(want bool, m, s []byte) {
		t.Helper()
		if got := c.verify(&v.PCK.PublicKey, formRaw, m, s); got != want {
			t.Errorf("verify %q: %v", m, got)
		}
	}
	check(true, message, sig)
	check(true, message, sig)
	for i := range sig {
		bad := bytes.Clone(sig)
		bad[i] ^= 1
		check(false, message, bad)
	}
	check(false, []byte("massage"), sig)
	check(false, message, sig[:63])
	check(false, message, append(bytes.Clone(sig), 0))
	if c.verify(&v.CA.PublicKey, formRaw, message, sig) || c.verify(&v.PCK.PublicKey, formDER, message, sig) || c.verify(nil, formRaw, message, sig) {
		t.Error("verified with another key, form or none")
	}
	if len(c.good) != 1 || len(c.ring) != 1 {
		t.Errorf("%d and %d entries, expected 1", len(c.good), len(c.ring))
	}
	for i := range 10 {
		m := []byte{byte(i)}
		check(true, m, v.Raw(v.PCK, m))
	}
	if len(c.good) != 2 || len(c.ring) != 2 {
		t.Errorf("%d and %d entries, expected 2", len(c.good), len(c.ring))
	}
	for n, want := range map[int]int{-1: 1, 0: 1, 5: 5, MaxCacheEntries + 1: MaxCacheEntries} {
		if got := NewCache(n).size; got != want {
			t.Errorf("cache of %d entries has room for %d", n, got)
		}
	}
	zero := &Cache{} // not made by NewCache: remembers nothing, and still works
	if !zero.verify(&v.PCK.PublicKey, formRaw, message, sig) || len(zero.good) != 0 {
		t.Error("zero cache")
	}
}

// With everything cached, dates, revocation and policy still count.
func TestCacheHoldsNoVerdict(t *testing.T) {
	for _, r := range accepted() {
		p, quote, col, at := r.load(t)
		p.Cache = NewCache(100)
		if ok, v := appraise(p, quote, col, at); !ok {
			t.Fatal(v.Err())
		}
		if ok, v := appraise(p, quote, col, at.AddDate(0, 6, 0)); ok || failures(v) != "dates" {
			t.Errorf("%s: half a year later: failed rows %q", r.name, failures(v))
		}
		if ok, v := appraise(p, quote, swap(col, attest.MediaTypeCRL, nil), at); ok || failures(v) != "revocation" {
			t.Errorf("%s: without lists: failed rows %q", r.name, failures(v))
		}
	}
}

func TestConverge(t *testing.T) {
	all := []Status{UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded,
		TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded, Revoked, NotSupported}
	seen := map[attest.Reason]Status{}
	for _, p := range all {
		r := statusReason(p)
		if other, twice := seen[r]; twice && r != attest.ReasonTCBRelaunch && p != UpToDate && other != UpToDate {
			t.Errorf("%s and %s have the same reason %s", p, other, r)
		}
		seen[r] = p
		for _, part := range []Status{UpToDate, OutOfDate, Revoked, NotSupported} {
			got := converge(p, part)
			want := p
			switch {
			case p == NotSupported || part == NotSupported:
				want = NotSupported
			case p == Revoked || part == Revoked:
				want = Revoked
			case part == OutOfDate && (p == UpToDate || p == SWHardeningNeeded):
				want = OutOfDate
			case part == OutOfDate && (p == ConfigurationNeeded || p == ConfigurationAndSWHardeningNeeded):
				want = OutOfDateConfigurationNeeded
			}
			if got != want || got == UpToDate && (p != UpToDate || part != UpToDate) {
				t.Errorf("%s with a part %s: %s, expected %s", p, part, got, want)
			}
		}
		if x := tcbpolicy.Accepts(attest.TCBPolicy{}, string(p), nil, dcaptest.Made); x.OK {
			t.Errorf("%s: the zero policy excuses it", p)
		}
		if x := tcbpolicy.Accepts(accept(all), string(p), nil, dcaptest.Made); x.OK == (p == Revoked || p == NotSupported) {
			t.Errorf("%s: accepted by name: %v", p, x.OK)
		}
		if remedy(p) == "" {
			t.Errorf("%s: no remedy", p)
		}
	}
	if x := tcbpolicy.Accepts(accept([]Status{"Fine", ""}), "Fine", nil, dcaptest.Made); x.OK {
		t.Error("an unknown status accepted by name")
	}
}
