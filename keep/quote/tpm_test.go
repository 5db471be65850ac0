// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/internal/swtpmtest"
)

// shared is one TPM for the tests of this package: making one takes more than
// a second, starting one 20 ms.
var shared struct {
	sync.Once
	dir   string
	err   error
	maker *swtpmtest.Maker
	tpm   *swtpmtest.TPM
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// powerOn starts the shared TPM anew.
func powerOn(t testing.TB) io.ReadWriter {
	t.Helper()
	shared.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "enarx-tpm-test-"); shared.err == nil {
			shared.maker = swtpmtest.NewMaker(t, shared.dir)
			shared.tpm = shared.maker.Make(t)
		}
	})
	if shared.tpm == nil {
		t.Fatalf("no TPM could be made (%v), see the first test that needed one", shared.err)
	}
	return shared.tpm.PowerOn(t)
}

var bootLog = []byte("what the firmware measured")

func newTPM(t testing.TB, rw io.ReadWriter) *TPM {
	t.Helper()
	src, err := NewTPM(t.Context(), rw, bytes.NewReader(bootLog))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// now runs f as an operation of src.
func now[T any](t testing.TB, src *TPM, f func() (T, error)) (T, error) {
	t.Helper()
	src.mu.Lock()
	defer src.mu.Unlock()
	var v T
	err := src.t.during(t.Context(), func() (err error) { v, err = f(); return err })
	return v, err
}

// akOf takes the attestation key's public area apart.
func akOf(t *testing.T, src *TPM) (*tpm2.TPMTPublic, *ecdsa.PublicKey) {
	t.Helper()
	p, err := tpm2.Unmarshal[tpm2.TPMTPublic](src.ak.public)
	if err != nil {
		t.Fatal(err)
	}
	point, err := p.Unique.ECC()
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 65)
	raw[0] = 4 // uncompressed
	new(big.Int).SetBytes(point.X.Buffer).FillBytes(raw[1:33])
	new(big.Int).SetBytes(point.Y.Buffer).FillBytes(raw[33:])
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return p, key
}

// TestQuoteIsSignedOverThePCRs checks what the TPM signed with nothing but the
// standard library.
func TestQuoteIsSignedOverThePCRs(t *testing.T) {
	src := newTPM(t, powerOn(t))
	event := attest.StartEvent([32]byte{1, 2, 3})
	if err := src.Start(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	qualifying := sha256.Sum256([]byte("report data"))
	q, err := now(t, src, func() (quoted, error) { return src.quote(qualifying) })
	if err != nil {
		t.Fatal(err)
	}
	_, pub := akOf(t, src)
	// TPMT_SIGNATURE: algorithm and hash (2 bytes each), then r and s, each
	// behind its length.
	s := q.signature[4:]
	r, s := s[2:2+int(s[1])], s[2+int(s[1]):]
	digest := sha256.Sum256(q.attest)
	if !ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(r), new(big.Int).SetBytes(s[2:])) {
		t.Error("the quote's signature is not by the attestation key")
	}
	if string(q.attest[:6]) != "\xffTCG\x80\x18" || !bytes.Contains(q.attest, qualifying[:]) {
		t.Errorf("not a quote with the qualifying data: %x", q.attest)
	}
	h := sha256.New()
	for _, v := range q.pcrs {
		h.Write(v[:])
	}
	if !bytes.HasSuffix(q.attest, h.Sum(nil)) {
		t.Error("the PCRs are not those of the quote")
	}
	d := sha256.Sum256(event)
	if want := sha256.Sum256(append(make([]byte, 32), d[:]...)); q.pcrs[attest.PCRStart] != want {
		t.Errorf("PCR %d = %x, expected %x", attest.PCRStart, q.pcrs[attest.PCRStart], want)
	}
}

// TestTheAttestationKeyIsRestrictedAndFresh holds what keeps the TPM from
// signing bytes that a peer chose, and that Keeps do not share a key.
func TestTheAttestationKeyIsRestrictedAndFresh(t *testing.T) {
	src := newTPM(t, powerOn(t))
	p, first := akOf(t, src)
	a := p.ObjectAttributes
	if !a.Restricted || !a.SignEncrypt || a.Decrypt || !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin {
		t.Errorf("attributes %+v: expected a restricted signing key that never leaves its TPM", a)
	}
	digest := sha256.Sum256([]byte("bytes of a stranger's choice"))
	_, err := now(t, src, func() (*tpm2.SignResponse, error) {
		return tpm2.Sign{
			KeyHandle: src.ak.auth(tpm2.PasswordAuth(nil)), Digest: tpm2.TPM2BDigest{Buffer: digest[:]},
			InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(src.t)
	})
	if err == nil {
		t.Error("the TPM signs a digest of a stranger's choice with the attestation key")
	}
	if _, second := akOf(t, newTPM(t, powerOn(t))); first.Equal(second) {
		t.Error("two Keeps on one TPM have the same attestation key")
	}
}

func TestRegisters(t *testing.T) {
	rw := powerOn(t)
	src := newTPM(t, rw)
	if err := src.Start(t.Context(), []byte("start")); err != nil {
		t.Fatal(err)
	}
	if err := src.Start(t.Context(), []byte("start")); err == nil || !strings.Contains(err.Error(), "PCR 14") {
		t.Errorf("a register that was used before the Keep: %v", err)
	}
	before, err := now(t, src, src.readPCRs)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Claim(t.Context(), []byte("claim")); err != nil {
		t.Fatal(err)
	}
	after, err := now(t, src, src.readPCRs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range after {
		if changed := after[i] != before[i]; changed != (i == attest.PCRClaim) {
			t.Errorf("PCR %d: changed by the claim: %v", i, changed)
		}
	}
	// A TPM that was not reset with the machine keeps the claim.
	if err := newTPM(t, rw).Start(t.Context(), []byte("start")); err == nil {
		t.Error("a Keep starts on a TPM that another Keep has claimed")
	}
}

// credential is a challenge as a verifier makes it, here by somebody else's code.
func credential(t *testing.T, ek, akName, secret []byte) attest.Evidence {
	t.Helper()
	p, err := tpm2.Unmarshal[tpm2.TPMTPublic](ek)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.ImportEncapsulationKey(p)
	if err != nil {
		t.Fatal(err)
	}
	blob, encrypted, err := tpm2.CreateCredential(rand.Reader, key, akName, secret)
	if err != nil {
		t.Fatal(err)
	}
	sized := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	b, err := (&attest.TPMChallenge{IDObject: sized(blob), Secret: sized(encrypted)}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{MediaType: attest.MediaTypeTPMChallenge, Value: b}
}

func nameOf(public []byte) []byte {
	h := sha256.Sum256(public)
	return append([]byte{0, 0x0b}, h[:]...)
}

// TestActivationProvesThatBothKeysLiveTogether takes the evidence as a verifier
// gets it, and answers for its own attestation key and for no other.
func TestActivationProvesThatBothKeysLiveTogether(t *testing.T) {
	src := newTPM(t, powerOn(t))
	ev, _, err := src.Quote(t.Context(), [64]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.DecodeTPMEvidence(ev.Value)
	if err != nil || ev.MediaType != attest.MediaTypeTPM {
		t.Fatal(ev.MediaType, err)
	}
	if len(e.Endorsements) == 0 || !bytes.Equal(e.EventLog, bootLog) {
		t.Fatalf("%d endorsement keys, event log %q", len(e.Endorsements), e.EventLog)
	}
	ek := e.Endorsements[0]
	cert, err := x509.ParseCertificate(ek.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignatureFrom(shared.maker.Issuer(t)); err != nil {
		t.Errorf("endorsement certificate: %v", err)
	}
	secret := []byte("a secret that only one TPM can tell")
	secret = secret[:32]
	a, err := src.Respond(credential(t, ek.Public, nameOf(e.AK), secret))
	if err != nil || a.MediaType != attest.MediaTypeTPMAnswer || !bytes.Equal(a.Value, secret) {
		t.Errorf("answer %q, %v", a.Value, err)
	}
	other := newTPM(t, powerOn(t)) // the same TPM, another attestation key
	for name, c := range map[string]attest.Evidence{
		"another attestation key": credential(t, ek.Public, nameOf(other.ak.public), secret),
		"another kind of message": {MediaType: attest.MediaTypeTPM, Value: ev.Value},
		"no credential":           {MediaType: attest.MediaTypeTPMChallenge, Value: []byte("sign this")},
		"no such endorsement key": func() attest.Evidence {
			c, err := attest.DecodeTPMChallenge(credential(t, ek.Public, nameOf(e.AK), secret).Value)
			if err != nil {
				t.Fatal(err)
			}
			c.Endorsement = attest.MaxTPMEndorsements - 1
			b, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			return attest.Evidence{MediaType: attest.MediaTypeTPMChallenge, Value: b}
		}(),
	} {
		if a, err := src.Respond(c); err == nil {
			t.Errorf("%s: answered with %x", name, a.Value)
		}
	}
	stranger := newTPM(t, shared.maker.Make(t).PowerOn(t))
	if a, err := stranger.Respond(credential(t, ek.Public, nameOf(stranger.ak.public), secret)); err == nil {
		t.Errorf("another TPM answers with %x", a.Value)
	}
}

// TestNothingIsLeftInTheTPM counts the TPM's objects and sessions.
func TestNothingIsLeftInTheTPM(t *testing.T) {
	src := newTPM(t, powerOn(t))
	count := func() (n int) {
		for _, first := range []uint32{0x02000000, 0x03000000, 0x80000000} { // loaded sessions, saved sessions, objects
			r, err := now(t, src, func() (*tpm2.GetCapabilityResponse, error) {
				return tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 100}.Execute(src.t)
			})
			if err != nil {
				t.Fatal(err)
			}
			h, err := r.CapabilityData.Data.Handles()
			if err != nil {
				t.Fatal(err)
			}
			n += len(h.Handle)
		}
		return n
	}
	begin := count()
	for range 5 {
		if _, err := now(t, src, func() (quoted, error) { return src.quote([32]byte{}) }); err != nil {
			t.Fatal(err)
		}
		src.Respond(attest.Evidence{MediaType: attest.MediaTypeTPMChallenge, Value: []byte("no credential")})
		now(t, src, func() ([]byte, error) {
			return src.activate(&attest.TPMChallenge{IDObject: []byte{0, 3, 0, 1, 2}, Secret: append([]byte{1, 0}, make([]byte, 256)...)})
		})
	}
	if n := count(); n != begin {
		t.Errorf("%d handles in the TPM after 5 quotes and 5 failed activations, %d before", n, begin)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d handles in the TPM after Close", n)
	}
}

// middle is a device between the Keep and its TPM.
type middle struct {
	io.ReadWriter
	after func(command uint32) // called when a command has gone
	last  uint32
}

func (m *middle) Write(b []byte) (int, error) {
	m.last = binary.BigEndian.Uint32(b[6:])
	return m.ReadWriter.Write(b)
}

func (m *middle) Read(b []byte) (int, error) {
	n, err := m.ReadWriter.Read(b)
	if c := m.last; c != 0 && m.after != nil {
		m.last = 0
		m.after(c)
	}
	return n, err
}

// TestQuoteAndPCRsAreOfOneMoment extends a PCR between the quote and the
// reading of the PCRs.
func TestQuoteAndPCRsAreOfOneMoment(t *testing.T) {
	const quoteCommand = uint32(tpm2.TPMCCQuote)
	for times, ok := range map[int]bool{1: true, quoteTries - 1: true, quoteTries: false} {
		rw := powerOn(t)
		m := &middle{ReadWriter: rw}
		src := newTPM(t, m)
		left := times
		m.after = func(c uint32) {
			if c != quoteCommand || left == 0 {
				return
			}
			left--
			other := &TPM{t: &transport{rw: rw, ctx: t.Context()}}
			if err := other.extend(16, []byte("something")); err != nil {
				t.Error(err)
			}
		}
		_, err := now(t, src, func() (quoted, error) { return src.quote([32]byte{}) })
		if (err == nil) != ok {
			t.Errorf("a PCR changed %d times: %v", times, err)
		}
		if left != 0 {
			t.Errorf("%d changes were not made", left)
		}
	}
}

// silent is a TPM that takes commands and never answers.
type silent struct{}

func (silent) Write(b []byte) (int, error) { return len(b), nil }
func (silent) Read([]byte) (int, error)    { select {} }

func TestASilentTPMIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewTPM(ctx, silent{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, expected the end of the time", err)
	}
	// One answer that came late would be taken for that to another question.
	again, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	tr := &transport{rw: silent{}, ctx: again}
	tr.Send(make([]byte, 10))
	tr.ctx = t.Context()
	if _, err := tr.Send(make([]byte, 10)); err == nil || err.Error() != errTPMAbandoned {
		t.Errorf("a TPM that was given up is asked again: %v", err)
	}
}

// answers is a TPM that gives prepared answers.
type answers struct{ b []byte }

func (a *answers) Write(b []byte) (int, error) { return len(b), nil }

func (a *answers) Read(b []byte) (int, error) {
	n := len(a.b)
	if n >= tpmHeader {
		n = int(min(uint32(n), binary.BigEndian.Uint32(a.b[2:])))
	}
	if n == 0 {
		return 0, io.EOF
	}
	n = copy(b, a.b[:n])
	a.b = a.b[n:]
	return n, nil
}

func TestInvariant4HostileInputIsBounded_TPMAnswers(t *testing.T) {
	head := func(size, code uint32, body string) string {
		b := binary.BigEndian.AppendUint32([]byte{0x80, 1}, size)
		return string(binary.BigEndian.AppendUint32(b, code)) + body
	}
	for name, b := range map[string]string{
		"nothing": "", "cut": head(10, 0, "")[:9], "too long": head(maxTPMResponse+1, 0, ""),
		"shorter than its header": head(9, 0, ""), "cut behind the header": head(20, 0, "abc"),
		"an error": head(10, 0x101, ""), "no body": head(10, 0, ""),
		"always busy": strings.Repeat(head(10, tpmRetry, ""), 3),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if src, err := NewTPM(ctx, &answers{[]byte(b)}, nil); err == nil {
			t.Errorf("%s: taken as %+v", name, src)
		}
		cancel()
	}
	long := io.LimitReader(zeros{}, attest.MaxTPMEventLog+1)
	if _, err := NewTPM(t.Context(), powerOn(t), long); err == nil || !strings.Contains(err.Error(), "event log") {
		t.Errorf("an event log of %d bytes: %v", attest.MaxTPMEventLog+1, err)
	}
	if _, err := NewTPM(t.Context(), nil, nil); err == nil {
		t.Error("no TPM is taken for one")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// FuzzTPMAnswers gives the Keep answers of a TPM that its host made up. The seed
// is a conversation with swtpm: new keys, both registers, a quote.
func FuzzTPMAnswers(f *testing.F) {
	seed, err := os.ReadFile("testdata/swtpm.answers")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		src, err := NewTPM(ctx, &answers{b}, nil)
		if err != nil {
			return
		}
		src.Start(ctx, []byte("start"))
		src.Claim(ctx, []byte("claim"))
		src.Quote(ctx, [64]byte{})
		src.Close()
	})
}

// recorder keeps what a TPM answers.
type recorder struct {
	io.ReadWriter
	all bytes.Buffer
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.ReadWriter.Read(b)
	r.all.Write(b[:n])
	return n, err
}

// TestRecordedAnswersGoAllTheWay keeps the fuzz target's seed honest: it must
// reach the quote. With ENARX_TEST_RECORD set it is written anew.
func TestRecordedAnswersGoAllTheWay(t *testing.T) {
	life := func(rw io.ReadWriter) error {
		src, err := NewTPM(t.Context(), rw, nil)
		if err != nil {
			return err
		}
		if err := src.Start(t.Context(), []byte("start")); err != nil {
			return err
		}
		if err := src.Claim(t.Context(), []byte("claim")); err != nil {
			return err
		}
		if _, _, err := src.Quote(t.Context(), [64]byte{}); err != nil {
			return err
		}
		return src.Close()
	}
	if os.Getenv("ENARX_TEST_RECORD") != "" {
		r := &recorder{ReadWriter: powerOn(t)}
		if err := life(r); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/swtpm.answers", r.all.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("testdata/swtpm.answers")
	if err != nil {
		t.Fatal(err)
	}
	if err := life(&answers{b}); err != nil {
		t.Error(err)
	}
}
