// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"os"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/internal/swtpmtest"
	"github.com/enarx/enarx-go/keep/quote"
)

// extend is TPM2_PCR_Extend, by hand: what firmware and kernel do before a Keep
// is there.
func extend(t testing.TB, rw io.ReadWriter, pcr uint32, digest []byte) {
	t.Helper()
	be := binary.BigEndian
	body := be.AppendUint32(nil, pcr)
	body = append(body, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0) // empty password
	body = append(be.AppendUint16(be.AppendUint32(body, 1), 0x0b), digest...)
	b := append(be.AppendUint32(be.AppendUint32([]byte{0x80, 2}, uint32(10+len(body))), 0x182), body...)
	if _, err := rw.Write(b); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, err := rw.Read(answer)
	if err != nil || n < 10 || be.Uint32(answer[6:]) != 0 {
		t.Fatalf("TPM2_PCR_Extend: %x, %v", answer[:n], err)
	}
}

// realKeep has a Keep's evidence source on a real TPM, after the boot that log
// tells of.
func realKeep(t testing.TB, rw io.ReadWriter, log []byte) *quote.TPM {
	t.Helper()
	l, err := eventlog.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.Events {
		for _, d := range e.Digests {
			if d.Alg == eventlog.SHA256 && e.Type != 3 {
				extend(t, rw, e.Index, d.Value)
			}
		}
	}
	src, err := quote.NewTPM(t.Context(), rw, bytes.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Start(t.Context(), attest.StartEvent(hostData)); err != nil {
		t.Fatal(err)
	}
	return src
}

// The Keep's own code on a real TPM (swtpm) convinces this verifier, through a
// credential that the TPM itself has opened; another TPM's does not. With
// ENARX_TEST_RECORD set its evidence becomes that of testdata.
func TestRealTPM(t *testing.T) {
	dir, err := os.MkdirTemp("", "enarx-vtpm-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	maker := swtpmtest.NewMaker(t, dir)
	chip := maker.Make(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	src := realKeep(t, chip.PowerOn(t), log)
	ev, _, err := src.Quote(t.Context(), reportData)
	if err != nil {
		t.Fatal(err)
	}
	root, issuer := maker.Root(t), maker.Issuer(t)
	o := vtpm.Options{Roots: []*x509.Certificate{root}, RootSource: "swtpm's CA"}
	col := attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: issuer.Raw}}
	now := time.Now()
	e, err := attest.DecodeTPMEvidence(ev.Value)
	if err != nil {
		t.Fatal(err)
	}
	m := vtpm.Measurement(&e.PCRs)
	exp := attest.Expected{ReportData: reportData, HostData: hostData, Claim: &attest.ClaimState{}, Measurements: []attest.ReferenceValue{
		{Platform: attest.PlatformVTPM, Measurement: m[:], Release: "1.2.3", Source: "the test", Components: components(t, log)}}}
	s := vtpm.NewSession(o, col, now, rand.Reader)
	converse(t, s, ev, src)
	c, v := s.Verify(ev, col, exp, now)
	if v.Err() != nil || len(c.Waived) != 0 {
		t.Fatalf("%+v, %v", c, v.Err())
	}
	// The same machine after another power-on has another attestation key: the
	// TPM refuses a credential for the first.
	again := realKeep(t, chip.PowerOn(t), log)
	s = vtpm.NewSession(o, col, now, rand.Reader)
	if err := attest.Converse(s, ev, again.Respond); err == nil {
		t.Error("a TPM opens a credential for a key that it does not have")
	}
	c, v = s.Verify(ev, col, exp, now)
	refused(t, "another boot's key", c, v, "activation", attest.ReasonKey, "no answer")
	// A claim shows.
	event := attest.ClaimEvent([32]byte{7}, []byte("channel key"))
	if err := src.Claim(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	ev, _, err = src.Quote(t.Context(), reportData)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		event []byte
		ok    bool
	}{{event, true}, {nil, false}, {attest.ClaimEvent([32]byte{8}, []byte("channel key")), false}} {
		exp.Claim = &attest.ClaimState{Event: x.event}
		s = vtpm.NewSession(o, col, now, rand.Reader)
		converse(t, s, ev, src)
		if c, v := s.Verify(ev, col, exp, now); (c != nil) != x.ok || (outcome(v, "claim") == attest.Pass) != x.ok {
			t.Errorf("claim %x: %v", x.event, v.Err())
		}
	}
	if os.Getenv("ENARX_TEST_RECORD") != "" {
		record(t, e, root, issuer)
	}
}

func record(t *testing.T, e *attest.TPMEvidence, root, issuer *x509.Certificate) {
	t.Helper()
	files := map[string][]byte{
		"swtpm.evidence.cbor": encoded(t, e).Value,
		"swtpm.root.pem":      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}),
		"swtpm.issuer.der":    issuer.Raw,
	}
	for name, b := range files {
		if err := os.WriteFile("testdata/"+name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// recordedAt is a day on which the certificates of testdata are valid.
var recordedAt = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// The recorded evidence of a real TPM is what it was.
func TestRecordedEvidence(t *testing.T) {
	roots, err := vtpm.ParseRoots(vector(t, "swtpm.root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ev := attest.Evidence{MediaType: attest.MediaTypeTPM, Value: vector(t, "swtpm.evidence.cbor")}
	e, err := attest.DecodeTPMEvidence(ev.Value)
	if err != nil {
		t.Fatal(err)
	}
	if again := encoded(t, e); !bytes.Equal(again.Value, ev.Value) {
		t.Error("encodes as other bytes")
	}
	m := vtpm.Measurement(&e.PCRs)
	exp := attest.Expected{ReportData: reportData, HostData: hostData, Claim: &attest.ClaimState{},
		Measurements: []attest.ReferenceValue{{Platform: attest.PlatformVTPM, Measurement: m[:], Release: "1.2.3", Source: "the test"}}}
	col := attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: vector(t, "swtpm.issuer.der")}}
	v := vtpm.New(vtpm.Options{Roots: roots})
	c, verdict := v.Verify(ev, col, exp, recordedAt)
	if verdict.Err() != nil {
		t.Fatal(verdict.Err())
	}
	if c.TCB["tpm-firmware"] == 0 {
		t.Error("no firmware version")
	}
	c, verdict = v.Verify(ev, nil, exp, recordedAt)
	refused(t, "without its issuer", c, verdict, "chain", attest.ReasonRoot, "swtpm-localca")
	c, verdict = v.Verify(ev, col, exp, recordedAt.AddDate(-1, 0, 0))
	refused(t, "a year before", c, verdict, "chain", attest.ReasonCertNotYetValid, "")
}
