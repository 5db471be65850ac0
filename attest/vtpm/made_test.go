// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/vtpm"
)

var (
	madeAt     = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	reportData = [64]byte{1, 2, 3}
	hostData   = [32]byte{4, 5, 6}
	device     = tpm.Device{Manufacturer: "id:54455354", Model: "soft", Version: "id:00010002"}
)

// maker is a made-up maker of TPMs: a root, an issuer below it, and keys to
// make TPMs around, which are made once because RSA keys take a while.
type maker struct {
	root, issuer       *x509.Certificate
	rootKey, issuerKey *ecdsa.PrivateKey
	ek                 *rsa.PrivateKey
}

func certificate(t testing.TB, name string, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: madeAt.AddDate(-1, 0, 0), NotAfter: madeAt.AddDate(10, 0, 0)}
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var ekOnce = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newMaker(t testing.TB) *maker {
	t.Helper()
	m := &maker{rootKey: ecKey(t), issuerKey: ecKey(t)}
	m.root = certificate(t, "TPM maker's root", nil, m.rootKey, m.rootKey)
	m.issuer = certificate(t, "TPM maker's issuer", m.root, m.issuerKey, m.rootKey)
	var err error
	if m.ek, err = ekOnce(); err != nil {
		t.Fatal(err)
	}
	return m
}

// vector reads a file of testdata.
func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// booted makes a TPM that has seen the boot of the given event log, and a Keep
// that has told it its start configuration.
func (m *maker) booted(t testing.TB, log []byte) *softtpm.TPM {
	t.Helper()
	p, err := softtpm.New(rand.Reader, m.ek, ecKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Certify(m.issuer, m.issuerKey, device, madeAt.AddDate(0, -1, 0), madeAt.AddDate(5, 0, 0)); err != nil {
		t.Fatal(err)
	}
	boot(t, p, log)
	p.Extend(attest.PCRStart, sum(attest.StartEvent(hostData)))
	return p
}

func boot(t testing.TB, p *softtpm.TPM, log []byte) {
	t.Helper()
	l, err := eventlog.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	regs, err := l.Replay(eventlog.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range regs {
		p.PCRs[i] = [32]byte(r.Value)
	}
	p.Log = log
}

func evidenceOf(t testing.TB, p *softtpm.TPM) attest.Evidence {
	t.Helper()
	e, err := p.Evidence(reportData)
	if err != nil {
		t.Fatal(err)
	}
	return encoded(t, e)
}

func encoded(t testing.TB, e *attest.TPMEvidence) attest.Evidence {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{MediaType: attest.MediaTypeTPM, Value: b}
}

func (m *maker) options() vtpm.Options {
	return vtpm.Options{Roots: []*x509.Certificate{m.root}, RootSource: "the test"}
}

func (m *maker) collateral() attest.Collateral {
	return attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: m.issuer.Raw}}
}

// expected is what the Keep of p must be, with the reference value of what p
// has booted.
func expected(p *softtpm.TPM) attest.Expected {
	d := vtpm.Measurement(&p.PCRs)
	return attest.Expected{
		ReportData: reportData, HostData: hostData, Claim: &attest.ClaimState{},
		Measurements: []attest.ReferenceValue{{Platform: attest.PlatformVTPM, Measurement: d[:], Release: "1.2.3", Source: "the test"}},
	}
}

// components are the reference value's parts by the log of a boot: what package
// measure predicts has these names.
func components(t testing.TB, log []byte) []attest.Component {
	t.Helper()
	l, err := eventlog.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	var out []attest.Component
	names := map[uint32][]string{4: {"platform", "platform", "UKI", "kernel"}, 9: {"command line", "initrd"}}
	seen := map[uint32]int{}
	for _, e := range l.Events {
		if e.Type == 3 || e.Index != 4 && e.Index != 9 && e.Index != 11 {
			continue
		}
		name := "UKI section"
		if ns := names[e.Index]; ns != nil {
			name = ns[seen[e.Index]]
		}
		seen[e.Index]++
		out = append(out, attest.Component{Name: name, Register: "PCR" + big.NewInt(int64(e.Index)).String(), Digest: e.Digests[0].Value})
	}
	return out
}

// converse runs the conversation between a session and a responder.
func converse(t testing.TB, s *vtpm.Session, ev attest.Evidence, r attest.Responder) {
	t.Helper()
	if err := attest.Converse(s, ev, r.Respond); err != nil {
		t.Fatal(err)
	}
}

// judge is a whole appraisal in a session.
func (m *maker) judge(t testing.TB, o vtpm.Options, p attest.Responder, ev attest.Evidence, exp attest.Expected) (*attest.Claims, attest.Verdict) {
	t.Helper()
	s := vtpm.NewSession(o, m.collateral(), madeAt, rand.Reader)
	converse(t, s, ev, p)
	c, v := s.Verify(ev, m.collateral(), exp, madeAt)
	if (c != nil) != v.OK() || c != nil && !c.Verified() {
		t.Fatalf("claims %+v with verdict %v", c, v.Err())
	}
	return c, v
}

// outcome is the outcome of a row.
func outcome(v attest.Verdict, check string) attest.Outcome {
	for _, r := range v {
		if r.Check == "vtpm."+check {
			return r.Outcome
		}
	}
	return ""
}

// refused demands that the verdict failed, and because of the given check.
func refused(t testing.TB, name string, c *attest.Claims, v attest.Verdict, check string, reason attest.Reason, words string) {
	t.Helper()
	lead := v.Lead()
	if c != nil || lead == nil {
		t.Errorf("%s: accepted", name)
		return
	}
	if lead.Check != "vtpm."+check || lead.Reason != reason || !strings.Contains(lead.Seen, words) {
		t.Errorf("%s: %s (%s), seen %q; expected vtpm.%s (%s) with %q", name, lead.Check, lead.Reason, lead.Seen, check, reason, words)
	}
	for _, r := range v {
		if (r.Outcome == attest.Fail) != (r.Reason != "") || r.Outcome == attest.Fail && (r.Seen == "" || r.Expected == "" || r.Source == "" || r.Todo == "") {
			t.Errorf("%s: row %+v", name, r)
		}
	}
}

// pcrsOf reads PCR values as a guest's kernel gave them.
func pcrsOf(t testing.TB, name string) (pcrs [attest.TPMPCRs][32]byte) {
	t.Helper()
	lines := strings.Fields(string(vector(t, name)))
	if len(lines) != len(pcrs) {
		t.Fatalf("%s: %d lines", name, len(lines))
	}
	for i, line := range lines {
		_, h, _ := strings.Cut(line, ":")
		b, err := hex.DecodeString(h)
		if err != nil || len(b) != 32 {
			t.Fatalf("%s, line %d: %v", name, i, err)
		}
		pcrs[i] = [32]byte(b)
	}
	return pcrs
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}
