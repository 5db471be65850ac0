// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tpmquote

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// foreigns are quotes of a TPM of Google's, one for each of its banks, with its
// log, as package attest/evidence puts them together.
func foreigns(t testing.TB) map[string]*Foreign {
	t.Helper()
	out := map[string]*Foreign{}
	for name, bank := range map[string]uint16{"sha1": 4, "sha256": 0x0b, "sha384": 0x0c} {
		const one = "gcp-cos85-nonce."
		f := &Foreign{Public: read(t, "tpm/testdata", one+"ak.tpmt-public.bin"), Bank: bank, EventLog: read(t, "eventlog/testdata", one+"eventlog.bin"),
			Quote: read(t, "tpm/testdata", one+name+".quote.bin"), Signature: read(t, "tpm/testdata", one+name+".sig.bin")}
		var pcrs map[string]string
		if err := json.Unmarshal(read(t, "eventlog/testdata", one+name+".pcrs.json"), &pcrs); err != nil || len(pcrs) != 24 {
			t.Fatalf("%s: %d registers: %v", name, len(pcrs), err)
		}
		for i := range len(pcrs) {
			v, err := hex.DecodeString(pcrs[strconv.Itoa(i)])
			if err != nil {
				t.Fatal(err)
			}
			f.PCRs = append(f.PCRs, v...)
		}
		out[name] = f
	}
	return out
}

// keep is the evidence of a Keep on swtpm, with what verifies it.
func keep(t testing.TB) (attest.Evidence, Params, attest.Collateral) {
	t.Helper()
	block, _ := pem.Decode(read(t, "../vtpm/testdata", "swtpm.root.pem"))
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{MediaType: attest.MediaTypeTPM, Value: read(t, "../vtpm/testdata", "swtpm.evidence.cbor")},
		Params{Platform: attest.PlatformVTPM, Roots: []*x509.Certificate{root}, RootSource: "the test",
			Measure: func(pcrs [][]byte) []byte { d := sha256.Sum256(bytes.Join(pcrs, nil)); return d[:] },
			Demands: Demands{Waive: attest.WaiveMeasurement | attest.WaiveHostData | attest.WaiveReportData}},
		attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: read(t, "../vtpm/testdata", "swtpm.issuer.der")}}
}

var keepAt = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// sound holds a verdict to the contract: claims come with it if and only if it
// is good, and a row says why it is not.
func sound(t *testing.T, c *attest.Claims, v attest.Verdict) {
	t.Helper()
	if len(v) == 0 || (c != nil) != v.OK() || c != nil && !c.Verified() {
		t.Fatalf("claims %v with verdict %v", c, v.Err())
	}
	for _, r := range v {
		if (r.Outcome == attest.Fail) != (r.Reason != "") || r.Outcome == attest.Fail && (r.Seen == "" || r.Expected == "" || r.Source == "" || r.Todo == "") {
			t.Fatalf("row %+v", r)
		}
		if len(r.Seen) > 1<<14 {
			t.Fatalf("row %s with %d bytes of words", r.Check, len(r.Seen))
		}
	}
}

// FuzzVerify: whatever comes along for evidence, of either kind, ends in a
// verdict, with a session and without.
func FuzzVerify(f *testing.F) {
	good, p, col := keep(f)
	if c, v := Verify(p, good, col, attest.Expected{}, keepAt); c == nil {
		f.Fatal(v.Err())
	}
	f.Add(good.Value, []byte("answer"))
	for name, x := range foreigns(f) {
		b, err := x.Encode()
		if err != nil {
			f.Fatal(err)
		}
		vouched := p
		ak, _, err := (&input{public: x.Public}).attestationKey()
		if err != nil {
			f.Fatal(err)
		}
		vouched.VouchedKey, vouched.VouchedBy = ak.Key, "the test"
		if c, v := Verify(vouched, attest.Evidence{MediaType: attest.MediaTypeTPMQuote, Value: b}, nil, attest.Expected{}, keepAt); (c != nil) != (name != "sha1") {
			f.Fatalf("%s: %v", name, v.Err())
		}
		f.Add(b, bytes.Repeat([]byte{1}, 32))
	}
	f.Fuzz(func(t *testing.T, b, answer []byte) {
		for _, typ := range []string{attest.MediaTypeTPM, attest.MediaTypeTPMQuote} {
			ev := attest.Evidence{MediaType: typ, Value: b}
			c, v := Verify(p, ev, col, attest.Expected{}, keepAt)
			sound(t, c, v)
			if c != nil && typ == attest.MediaTypeTPM && !same(b, good.Value) {
				t.Fatal("other evidence than the real one is accepted")
			}
			s := NewSession(p, col, keepAt, ones{})
			if _, done, err := s.Next(ev); err == nil && !done {
				if _, done, err := s.Next(attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: answer}); !done || err != nil {
					t.Fatalf("%v, %v", done, err)
				}
			}
			c, v = s.Verify(ev, col, attest.Expected{}, keepAt)
			sound(t, c, v)
			if c != nil && !bytes.Equal(answer, bytes.Repeat([]byte{1}, secretSize)) {
				t.Fatal("accepted on another answer")
			}
		}
	})
}

// same says whether a and b are the same evidence in what the TPM has signed:
// a key, a quote and its signature.
func same(a, b []byte) bool {
	x, err := attest.DecodeTPMEvidence(a)
	if err != nil {
		return false
	}
	y, err := attest.DecodeTPMEvidence(b)
	return err == nil && bytes.Equal(x.AK, y.AK) && bytes.Equal(x.Quote, y.Quote) && x.PCRs == y.PCRs
}

type ones struct{}

func (ones) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 1
	}
	return len(b), nil
}

// FuzzDecodeForeign: a quote of others has one encoding.
func FuzzDecodeForeign(f *testing.F) {
	for _, x := range foreigns(f) {
		b, err := x.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := DecodeForeign(b)
		if (x == nil) == (err == nil) {
			t.Fatalf("%v and %v", x, err)
		}
		if err != nil {
			return
		}
		if again, err := x.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("comes back as other bytes: %v", err)
		}
		in, err := decode(attest.Evidence{MediaType: attest.MediaTypeTPMQuote, Value: b})
		if err == nil && len(in.pcrs) != attest.TPMPCRs {
			t.Fatalf("%d registers", len(in.pcrs))
		}
	})
}

// FuzzLog: what a verification asks a log ends, whatever the log says: which
// register it explains, which event is suspicious, what Secure Boot was.
func FuzzLog(f *testing.F) {
	for name := range realLogs {
		f.Add(logOf(f, name))
	}
	for _, name := range []string{"ovmf-direct.eventlog.bin", "ovmf-uki.eventlog.bin"} {
		f.Add(read(f, "../vtpm/testdata", name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for alg, h := range hashes {
			l, err := readLog(b, alg)
			if err != nil {
				continue
			}
			got := make([]byte, h.Size())
			for i := range uint32(attest.TPMPCRs) {
				if len(l.suspect(i, got)) > 1<<12 {
					t.Fatal("endless words")
				}
				if l.regs[i].Events == 0 {
					continue
				}
				values := l.values(i)
				if len(values) != len(l.of[i])+1 || !bytes.Equal(values[len(values)-1], l.regs[i].Value) {
					t.Fatalf("register %d is %x after its events, the replay gives %x", i, values, l.regs[i].Value)
				}
			}
			e, unproven := l.unproven()
			if unproven && (!hashesData(e.Type) || l.proven(e)) {
				t.Fatal("an event that is proven is said not to be")
			}
			if on, err := l.secureBoot(); on && err != nil {
				t.Fatalf("Secure Boot is on, and %v", err)
			} else if on && !bytes.Contains(b, []byte("S\x00e\x00c\x00u\x00r\x00e\x00B\x00o\x00o\x00t\x00")) {
				t.Fatal("Secure Boot is on, of which the log does not say anything")
			}
		}
	})
}

// A log in TCG 1.2's form has SHA-1 alone: it is read, and proves nothing that is
// asked for.
func TestLogsOfSHA1AreNoHelp(t *testing.T) {
	for name, x := range realLogs {
		if _, err := readLog(logOf(t, name), eventlog.SHA256); (err == nil) == x.sha1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
