// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/sallyport"
	"github.com/enarx/enarx-go/workload"
)

func mayAsk(p *workload.Package) { p.Config.Evidence = true }

// The program reads the certificate that its peers see, and the owner too.
func TestIdentityNode(t *testing.T) {
	o := runNodes(t, keeptest.Config{Platform: attest.PlatformProcess}, nil, "cat", "/dev/enarx/identity.pem", "/dev/enarx/evidence")
	o.want(t, session.EndExit, 0)
	block, rest := pem.Decode([]byte(o.out.String()))
	if block == nil || block.Type != "CERTIFICATE" || !bytes.Equal(block.Bytes, o.started.Certificate.Raw) {
		t.Errorf("the program read %q", o.out.String())
	}
	// What the bundle does not grant is not there.
	if got := strings.TrimSpace(string(rest)); got != "open /dev/enarx/evidence: No such file or directory" {
		t.Errorf("then %q", got)
	}
}

func ownerOf(o *outcome) ([32]byte, error) {
	public := o.owner.Public()
	return public.Hash()
}

// asked runs the program for evidence over data and returns the lines that it
// prints.
func asked(t *testing.T, cfg keeptest.Config, args ...string) (*outcome, []string) {
	t.Helper()
	o := runNodes(t, cfg, mayAsk, append([]string{"evidence"}, args...)...)
	o.want(t, session.EndExit, 0)
	return o, strings.Split(strings.TrimSpace(o.out.String()), "\n")
}

// accepted says whether the verifier takes the evidence in a document that a
// program has read, as made over the given report data.
func accepted(t *testing.T, o *outcome, format, line string, want [64]byte) bool {
	t.Helper()
	doc, err := hex.DecodeString(line)
	if err != nil {
		t.Fatalf("the program printed %q", line)
	}
	found, err := evidence.Find(doc)
	if err != nil || len(found.Pieces) != 1 {
		t.Fatalf("what the program read is no evidence: %v", err)
	}
	root, err := sim.ParseRoot(keeptest.Authority(t).RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	p := found.Pieces[0]
	col, err := keeptest.Authority(t).Collateral(format)
	if err != nil {
		t.Fatal(err)
	}
	start := sallyport.StartConfig{Mode: "push", Platform: attest.PlatformSim}
	exp := attest.Expected{Measurements: o.k.Demand(t).Measurements, ReportData: want, HostData: start.Digest()}
	claims, rows := sim.New(root).Verify(p.Evidence, append(p.Collateral, col...), exp, time.Now())
	return claims != nil && rows.OK()
}

func TestEvidenceNode(t *testing.T) {
	for _, format := range []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformVTPM} {
		t.Run(format, func(t *testing.T) {
			data := sha512.Sum512([]byte("what the program wants to prove"))
			o, lines := asked(t, keeptest.Config{Format: format}, hex.EncodeToString(data[:]))
			owner, err := ownerOf(o)
			if err != nil {
				t.Fatal(err)
			}
			if want := attest.WorkloadReportData(o.digest, owner, data); !accepted(t, o, format, lines[0], want) {
				t.Errorf("the evidence is not accepted: %s", lines[0])
			}
			other := data
			other[63] ^= 1
			for what, want := range map[string][64]byte{
				"other bytes":      attest.WorkloadReportData(o.digest, owner, other),
				"another bundle":   attest.WorkloadReportData([32]byte{1}, owner, data),
				"another owner":    attest.WorkloadReportData(o.digest, [32]byte{1}, data),
				"the bytes alone":  data,
				"a tree's of them": attest.ReportData(1, data),
			} {
				if accepted(t, o, format, lines[0], want) {
					t.Errorf("the evidence is accepted for %s", what)
				}
			}
		})
	}
}

// A workload tries to have evidence of an empty Keep made for a channel key of
// its own: it knows everything that such evidence covers, and asks for all that
// could be signed on the way.
func TestInvariant11ForgedChannelEvidence(t *testing.T) {
	leaf := &attest.Leaf{
		Role: attest.KeepServer, Binding: [32]byte{1}, ChannelKey: []byte("a key held outside"),
		IdentityKey: []byte("another"), State: attest.StateEmpty, StartConfigDigest: [32]byte{2}, RuntimeVersion: "0.1.0",
	}
	h, err := leaf.Hash()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := attest.NewTree([][64]byte{h})
	if err != nil {
		t.Fatal(err)
	}
	forged := tree.ReportData()
	root := tree.Root()
	o, lines := asked(t, keeptest.Config{}, hex.EncodeToString(forged[:]), hex.EncodeToString(root[:]), hex.EncodeToString(h[:]),
		// More or fewer bytes than 64 would move the parts of what is hashed.
		hex.EncodeToString(forged[:63]), hex.EncodeToString(append(forged[:], 0)), "", hex.EncodeToString(make([]byte, 128)))
	for i, line := range lines[:3] {
		if accepted(t, o, attest.PlatformSNP, line, forged) {
			t.Errorf("question %d gave evidence of an empty Keep for a key held outside", i)
		}
		owner, err := ownerOf(o)
		if err != nil {
			t.Fatal(err)
		}
		if asked := [][64]byte{forged, root, h}[i]; !accepted(t, o, attest.PlatformSNP, line, attest.WorkloadReportData(o.digest, owner, asked)) {
			t.Errorf("question %d gave no evidence at all, the test shows nothing", i)
		}
	}
	for i, line := range lines[3:] {
		if !strings.Contains(line, "Invalid argument") {
			t.Errorf("question of a wrong size %d: %q", i, line)
		}
	}
}

// A platform without evidence says so.
func TestEvidenceNodeWithoutEvidence(t *testing.T) {
	_, lines := asked(t, keeptest.Config{Platform: attest.PlatformProcess}, strings.Repeat("00", 64))
	if !strings.Contains(lines[0], "Not supported") {
		t.Errorf("the program was told %q", lines[0])
	}
}

// A workload that asks all the time is slowed down, and sessions get theirs.
func TestEvidenceIsPaced(t *testing.T) {
	_, lines := asked(t, keeptest.Config{}, "11*"+strings.Repeat("00", 64))
	if n, err := strconv.Atoi(lines[0]); err != nil || n < 2 || n > 30 {
		t.Errorf("11 questions took %s s, expected 8 at once and then one a second", lines[0])
	}
}
