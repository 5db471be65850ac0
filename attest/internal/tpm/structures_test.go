// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"math/big"
	"os"
	"strings"
	"testing"

	tpm2 "github.com/google/go-tpm/tpm2"

	"github.com/enarx/enarx-go/attest"
)

// swtpm is the evidence that a Keep made on a software TPM (see the origin in
// attest/vtpm/testdata).
func swtpm(t testing.TB) *attest.TPMEvidence {
	t.Helper()
	b, err := os.ReadFile("../../vtpm/testdata/swtpm.evidence.cbor")
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.DecodeTPMEvidence(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// publics are TPMT_PUBLIC of real keys.
func publics(t testing.TB) map[string][]byte {
	t.Helper()
	e := swtpm(t)
	return map[string][]byte{
		"gcp-cos85": file(t, "gcp-cos85-nonce.ak.tpmt-public.bin"), "gcp-windows": file(t, "gcp-windows-sha1.ak.tpmt-public.bin"),
		"swtpm AK": e.AK, "swtpm EK": e.Endorsements[0].Public,
	}
}

// quotes are TPMS_ATTEST of real quotes, with the qualifying data where they are
// published, and the bank that they are over.
func quotes(t testing.TB) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"gcp-cos85 SHA-1": file(t, "gcp-cos85-nonce.sha1.quote.bin"), "gcp-cos85 SHA-256": file(t, "gcp-cos85-nonce.sha256.quote.bin"),
		"gcp-cos85 SHA-384": file(t, "gcp-cos85-nonce.sha384.quote.bin"), "gcp-windows SHA-1": file(t, "gcp-windows-sha1.quote.bin"),
		"gcp-amd SHA-256": file(t, "gcp-amd-ecc.quote.bin"), "aws SHA-384": file(t, "aws-nitrotpm-ecc.quote.bin"),
		"azure SHA-256": file(t, "azure-snp-milan-vtpm.quote.bin"), "swtpm SHA-256": swtpm(t).Quote,
	}
}

// agreesPublic holds what was read against go-tpm, which must make the same
// bytes again.
func agreesPublic(t testing.TB, b []byte, p *Public) {
	t.Helper()
	o, err := tpm2.Unmarshal[tpm2.TPMTPublic](b)
	if err != nil || !bytes.Equal(tpm2.Marshal(*o), b) {
		t.Fatalf("go-tpm reads something else: %v", err)
	}
	attributes := o.ObjectAttributes
	raw := tpm2.Marshal(attributes)
	if Alg(o.Type) != p.Type || Alg(o.NameAlg) != p.NameAlg || Attributes(binary.BigEndian.Uint32(raw)) != p.Attributes || !bytes.Equal(o.AuthPolicy.Buffer, p.AuthPolicy) {
		t.Errorf("read %+v, go-tpm reads %+v", p, o)
	}
	key, err := tpm2.Pub(*o)
	if err != nil || !p.Is(key) {
		t.Errorf("another key than go-tpm's: %v", err)
	}
	if _, err := p.NameAlg.Hash(); err != nil {
		return
	}
	ours, err := p.Name()
	theirs, oerr := tpm2.ObjectName(o)
	if err != nil || oerr != nil || !bytes.Equal(ours, theirs.Buffer) {
		t.Errorf("name %x, go-tpm's %v: %v, %v", ours, theirs, err, oerr)
	}
}

func TestPublicOfRealKeys(t *testing.T) {
	for name, b := range publics(t) {
		p, err := ParsePublic(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		agreesPublic(t, b, p)
		ak, ek := p.CheckAttestationKey(), p.CheckEndorsementKey()
		if wantEK, wantAK := name == "swtpm EK", name != "swtpm EK" && name != "gcp-windows"; (ek == nil) != wantEK || (ak == nil) != wantAK {
			t.Errorf("%s: as an attestation key: %v; as an endorsement key: %v", name, ak, ek)
		}
		if name == "gcp-windows" && !strings.Contains(ak.Error(), "SHA-1") {
			t.Errorf("%s: %v", name, ak)
		}
		for i := range b {
			if _, err := ParsePublic(b[:i]); err == nil {
				t.Errorf("%s: %d bytes of %d are read", name, i, len(b))
			}
		}
		if _, err := ParsePublic(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s: a byte more is read", name)
		}
	}
}

// area puts a TPMT_PUBLIC together.
type area struct {
	typ, nameAlg uint16
	attributes   uint32
	params       []byte
	unique       []byte
}

func (a area) encode() []byte {
	be := binary.BigEndian
	b := be.AppendUint32(be.AppendUint16(be.AppendUint16(nil, a.typ), a.nameAlg), a.attributes)
	return append(append(append2B(b, nil), a.params...), a.unique...)
}

// words are numbers of two bytes in a row.
func words(list ...int) []byte {
	var b []byte
	for _, x := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(x))
	}
	return b
}

// Every number that a key is described with is one that is known, and what is
// known is what a key of this kind can have.
func TestPublicRefusesOtherKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := raw[1:33], raw[33:]
	point := func(x, y []byte) []byte { return append2B(append2B(nil, x), y) }
	n := bytes.Repeat([]byte{0xff}, 256)
	small := bytes.Repeat([]byte{0xff}, 128)
	rsaParams := func(bits, e int) []byte {
		return binary.BigEndian.AppendUint32(words(int(AlgNull), int(AlgRSASSA), int(AlgSHA256), bits), uint32(e))
	}
	eccParams := words(int(AlgNull), int(AlgECDSA), int(AlgSHA256), 3, int(AlgNull))
	const ecc, rsaType, sha256 = uint16(AlgECC), uint16(AlgRSA), uint16(AlgSHA256)
	const good = uint32(FixedTPM | FixedParent | SensitiveDataOrigin | Restricted | Sign)
	for name, c := range map[string]struct {
		area
		words string // none: taken
	}{
		"ECC":                       {area{ecc, sha256, good, eccParams, point(x, y)}, ""},
		"RSA":                       {area{rsaType, sha256, good, rsaParams(2048, 0), append2B(nil, n)}, ""},
		"RSA, exponent written out": {area{rsaType, sha256, good, rsaParams(2048, 65537), append2B(nil, n)}, ""},
		"a keyed hash":              {area{8, sha256, good, nil, nil}, "expected RSA or ECC"},
		"a symmetric key":           {area{0x25, sha256, good, nil, nil}, "expected RSA or ECC"},
		"a reserved attribute":      {area{ecc, sha256, good | 1<<31, eccParams, point(x, y)}, "reserved attributes"},
		"the first reserved one":    {area{ecc, sha256, good | 1, eccParams, point(x, y)}, "reserved attributes"},
		"P-192":                     {area{ecc, sha256, good, words(16, 24, 11, 1, 16), point(x, y)}, "curve 0x1"},
		"P-224":                     {area{ecc, sha256, good, words(16, 24, 11, 2, 16), point(x, y)}, "curve 0x2"},
		"BN-256":                    {area{ecc, sha256, good, words(16, 24, 11, 0x10, 16), point(x, y)}, "curve 0x10"},
		"BN-638":                    {area{ecc, sha256, good, words(16, 24, 11, 0x11, 16), point(x, y)}, "curve 0x11"},
		"SM2":                       {area{ecc, sha256, good, words(16, 24, 11, 0x20, 16), point(x, y)}, "curve 0x20"},
		"no curve":                  {area{ecc, sha256, good, words(16, 24, 11, 0, 16), point(x, y)}, "curve 0x0"},
		"P-384 with a short point":  {area{ecc, sha256, good, words(16, 24, 11, 4, 16), point(x, y)}, "not a point on P-384"},
		"P-256 with a long point":   {area{ecc, sha256, good, eccParams, point(append([]byte{0}, x...), y)}, "coordinates of 33 and 32 bytes"},
		"a point off the curve":     {area{ecc, sha256, good, eccParams, point(x, x)}, "not a point"},
		"the point at infinity":     {area{ecc, sha256, good, eccParams, point(nil, nil)}, "not a point"},
		"coordinates of zeros":      {area{ecc, sha256, good, eccParams, point(make([]byte, 32), make([]byte, 32))}, "not a point"},
		"a KDF":                     {area{ecc, sha256, good, words(16, 24, 11, 3, 0x20, 11), point(x, y)}, "expected none"},
		"ECC that signs as RSA":     {area{ecc, sha256, good, words(16, 0x14, 11, 3, 16), point(x, y)}, "for an ECC key"},
		"ECDAA":                     {area{ecc, sha256, good, words(16, 0x1a, 11, 0, 3, 16), point(x, y)}, "scheme algorithm 0x1a"},
		"RSA that signs as ECC":     {area{rsaType, sha256, good, words(16, 0x18, 11, 2048, 0, 0), append2B(nil, n)}, "scheme ECDSA for an RSA key"},
		"RSAES":                     {area{rsaType, sha256, good, words(16, 0x15, 2048, 0, 0), append2B(nil, n)}, "scheme algorithm 0x15"},
		"RSA 1024":                  {area{rsaType, sha256, good, rsaParams(1024, 0), append2B(nil, small)}, "RSA key of 1024 bits"},
		"RSA 2048 that is 1024":     {area{rsaType, sha256, good, rsaParams(2048, 0), append2B(nil, small)}, "modulus of 128 bytes"},
		"RSA 1024 padded":           {area{rsaType, sha256, good, rsaParams(2048, 0), append2B(nil, append(make([]byte, 128), small...))}, "modulus of 256 bytes"},
		"an even modulus":           {area{rsaType, sha256, good, rsaParams(2048, 0), append2B(nil, append(bytes.Clone(n[:255]), 0xfe))}, "modulus of 256 bytes"},
		"exponent 1":                {area{rsaType, sha256, good, rsaParams(2048, 1), append2B(nil, n)}, "exponent 1"},
		"exponent 3":                {area{rsaType, sha256, good, rsaParams(2048, 3), append2B(nil, n)}, "exponent 3"},
		"an even exponent":          {area{rsaType, sha256, good, rsaParams(2048, 65536), append2B(nil, n)}, "exponent 65536"},
		"a huge exponent":           {area{rsaType, sha256, good, rsaParams(2048, 0xffffffff), append2B(nil, n)}, "exponent 4294967295"},
		"AES of 192 bits":           {area{ecc, sha256, good, words(6, 192, 0x43, 16, 3, 16), point(x, y)}, "of 192 bits"},
		"AES in another mode":       {area{ecc, sha256, good, words(6, 128, 0x40, 16, 3, 16), point(x, y)}, "in mode algorithm 0x40"},
		"Camellia":                  {area{ecc, sha256, good, words(0x26, 128, 0x43, 16, 3, 16), point(x, y)}, "algorithm 0x26"},
	} {
		b := c.encode()
		p, err := ParsePublic(b)
		switch {
		case c.words == "" && err != nil, c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)):
			t.Errorf("%s: %v, expected %q", name, err, c.words)
		case c.words == "":
			if err := p.CheckAttestationKey(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := ParsePublic(make([]byte, maxStructure+1)); err == nil || !strings.Contains(err.Error(), "2049 bytes") {
		t.Errorf("a structure beyond the limit: %v", err)
	}
}

func agreesQuote(t testing.TB, b []byte, q *Quote) {
	t.Helper()
	o, err := tpm2.Unmarshal[tpm2.TPMSAttest](b)
	if err != nil {
		t.Fatalf("go-tpm reads something else: %v", err)
	}
	about, err := o.Attested.Quote()
	if err != nil || !bytes.Equal(o.QualifiedSigner.Buffer, q.QualifiedSigner) || !bytes.Equal(o.ExtraData.Buffer, q.ExtraData) ||
		o.ClockInfo.Clock != q.Clock || o.ClockInfo.ResetCount != q.ResetCount || o.ClockInfo.RestartCount != q.RestartCount ||
		o.FirmwareVersion != q.FirmwareVersion || !bytes.Equal(about.PCRDigest.Buffer, q.Digest) || len(about.PCRSelect.PCRSelections) != len(q.Selected) {
		t.Fatalf("read %+v, go-tpm reads %+v: %v", q, o, err)
	}
	for i, s := range about.PCRSelect.PCRSelections {
		var pcrs [PCRs]bool
		for j := range 8 * len(s.PCRSelect) {
			pcrs[j] = s.PCRSelect[j/8]>>(j%8)&1 == 1
		}
		if q.Selected[i] != (Selection{Alg(s.Hash), pcrs}) {
			t.Errorf("selection %+v, go-tpm reads %+v", q.Selected[i], s)
		}
	}
}

func TestQuotesOfRealTPMs(t *testing.T) {
	for name, b := range quotes(t) {
		q, err := ParseQuote(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		agreesQuote(t, b, q)
		if _, bank, _ := strings.Cut(name, " "); len(q.Selected) != 1 || q.Selected[0].Bank.String() != bank || !q.Selected[0].All() {
			t.Errorf("%s: selects %v", name, q.Selected)
		}
		for i := range b {
			if _, err := ParseQuote(b[:i]); err == nil {
				t.Errorf("%s: %d bytes of %d are read", name, i, len(b))
			}
		}
		if _, err := ParseQuote(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s: a byte more is read", name)
		}
	}
	// What a key that makes quotes has signed besides is no quote.
	if _, err := ParseQuote(file(t, "gcp-windows-sha1.ak-creation.attest.bin")); err == nil || !strings.Contains(err.Error(), "type 0x801a, expected 0x8018") {
		t.Errorf("a statement about the creation of a key: %v", err)
	}
}

// Signatures of a real TPM hold over what it has signed, and over nothing else.
func TestSignaturesOfRealTPMs(t *testing.T) {
	p, err := ParsePublic(publics(t)["gcp-cos85"])
	if err != nil {
		t.Fatal(err)
	}
	var all []*Signature
	var messages [][]byte
	for _, bank := range []string{"sha1", "sha256", "sha384"} {
		b := file(t, "gcp-cos85-nonce."+bank+".sig.bin")
		s, err := ParseSignature(b)
		if err != nil || s.Alg != AlgRSASSA || s.Hash != AlgSHA256 || !bytes.Equal(s.Encode(), b) {
			t.Fatalf("%s: %+v, %v", bank, s, err)
		}
		all, messages = append(all, s), append(messages, file(t, "gcp-cos85-nonce."+bank+".quote.bin"))
	}
	for i, s := range all {
		for j, message := range messages {
			if err := s.Verify(p.Key, message); (err == nil) != (i == j) {
				t.Errorf("signature %d over quote %d: %v", i, j, err)
			}
		}
	}
	s, message := all[1], messages[1]
	for i := range 8 * len(message) {
		bad := bytes.Clone(message)
		bad[i/8] ^= 1 << (i % 8)
		if s.Verify(p.Key, bad) == nil {
			t.Errorf("bit %d of the quote: good", i)
		}
	}
	for i := range 8 * len(s.RSA) {
		bad := *s
		bad.RSA = bytes.Clone(s.RSA)
		bad.RSA[i/8] ^= 1 << (i % 8)
		if bad.Verify(p.Key, message) == nil {
			t.Errorf("bit %d of the signature: good", i)
		}
	}
	for name, change := range map[string]func(*Signature){
		"PSS":         func(s *Signature) { s.Alg = AlgRSAPSS },
		"ECDSA":       func(s *Signature) { s.Alg, s.R, s.S = AlgECDSA, big.NewInt(1), big.NewInt(1) },
		"SHA-1":       func(s *Signature) { s.Hash = AlgSHA1 },
		"SHA-384":     func(s *Signature) { s.Hash = AlgSHA384 },
		"no hash":     func(s *Signature) { s.Hash = AlgNull },
		"empty":       func(s *Signature) { s.RSA = nil },
		"zeros":       func(s *Signature) { s.RSA = make([]byte, 256) },
		"longer":      func(s *Signature) { s.RSA = append([]byte{0}, s.RSA...) },
		"one shorter": func(s *Signature) { s.RSA = s.RSA[:255] },
	} {
		bad := *s
		change(&bad)
		if bad.Verify(p.Key, message) == nil {
			t.Errorf("%s: good", name)
		}
	}
	// Windows' TPM has signed with SHA-1: that is no signature to rest on.
	w, err := ParsePublic(publics(t)["gcp-windows"])
	if err != nil {
		t.Fatal(err)
	}
	old, err := ParseSignature(file(t, "gcp-windows-sha1.sig.bin"))
	if err != nil || old.Hash != AlgSHA1 {
		t.Fatal(old, err)
	}
	if err := old.Verify(w.Key, file(t, "gcp-windows-sha1.quote.bin")); err == nil || !strings.Contains(err.Error(), "SHA-1") {
		t.Errorf("SHA-1: %v", err)
	}
	creation, err := ParseSignature(file(t, "gcp-windows-sha1.ak-creation.sig.bin"))
	if err != nil || creation.Hash != AlgSHA1 {
		t.Fatal(creation, err)
	}
	if err := creation.Verify(w.Key, file(t, "gcp-windows-sha1.ak-creation.attest.bin")); err == nil || !strings.Contains(err.Error(), "SHA-1") {
		t.Errorf("SHA-1 over the creation of the key: %v", err)
	}
}

// A signature on a curve is two numbers between 1 and the order.
func TestSignatureOnACurve(t *testing.T) {
	e := swtpm(t)
	p, err := ParsePublic(e.AK)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSignature(e.Signature)
	if err != nil || s.Verify(p.Key, e.Quote) != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N
	zero := new(big.Int)
	for name, bad := range map[string]*Signature{
		"zeros":               {AlgECDSA, AlgSHA256, nil, zero, zero},
		"r is zero":           {AlgECDSA, AlgSHA256, nil, zero, s.S},
		"s is zero":           {AlgECDSA, AlgSHA256, nil, s.R, zero},
		"r is the order":      {AlgECDSA, AlgSHA256, nil, order, s.S},
		"r beyond the order":  {AlgECDSA, AlgSHA256, nil, new(big.Int).Add(s.R, order), s.S},
		"s beyond the order":  {AlgECDSA, AlgSHA256, nil, s.R, new(big.Int).Add(s.S, order)},
		"the other way round": {AlgECDSA, AlgSHA256, nil, s.S, s.R},
		"RSA":                 {AlgRSASSA, AlgSHA256, make([]byte, 256), nil, nil},
		"SHA-1":               {AlgECDSA, AlgSHA1, nil, s.R, s.S},
		"of as many bytes":    {AlgECDSA, AlgSHA512, nil, s.R, s.S},
	} {
		if bad.Verify(p.Key, e.Quote) == nil {
			t.Errorf("%s: good", name)
		}
	}
	if err := s.Verify(&rsa.PublicKey{N: order, E: 3}, e.Quote); err == nil {
		t.Error("an ECDSA signature by an RSA key: good")
	}
	if err := s.Verify("no key", e.Quote); err == nil {
		t.Error("a signature by no key: good")
	}
	for name, b := range map[string][]byte{
		"HMAC": words(5, 11), "no signature": words(16), "a hash alone": words(0x18), "SM2": words(0x1b, 11, 0, 0), "ECDAA": words(0x1a, 11, 0, 0),
		"r too long": append(words(0x18, 11, 67), make([]byte, 67+2)...), "RSA too long": append(words(0x14, 11, 513), make([]byte, 513)...),
		"a byte more": append(bytes.Clone(e.Signature), 0), "beyond the limit": make([]byte, maxStructure+1), "none": nil,
	} {
		if s, err := ParseSignature(b); err == nil {
			t.Errorf("%s: read as %+v", name, s)
		}
	}
}
