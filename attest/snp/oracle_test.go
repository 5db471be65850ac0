// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	pb "github.com/google/go-sev-guest/proto/sevsnp"
	oracle "github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest"
)

var mutations = flag.Int("attest.mutations", 400, "how many mutations of the vectors to compare with go-sev-guest")

// oracleRoots are the roots that this package has built in, for go-sev-guest:
// it is never asked under defaults of its own.
func oracleRoots(t testing.TB) map[string][]*trust.AMDRootCerts {
	t.Helper()
	out := map[string][]*trust.AMDRootCerts{}
	for _, p := range products {
		for _, kind := range []string{"vcek", "vlek"} {
			r := trust.AMDRootCertsProduct(p.name)
			chain, err := os.ReadFile("roots/" + p.file + "-" + kind + "-chain.pem")
			if err != nil {
				t.Fatal(err)
			}
			if err := r.FromKDSCertBytes(append(bytes.TrimSpace(chain), '\n')); err != nil {
				t.Fatal(err)
			}
			out[p.name] = append(out[p.name], r)
		}
	}
	return out
}

// listGetter serves a list from memory, so that nothing is fetched.
type listGetter []byte

func (l listGetter) Get(string) ([]byte, error) {
	if l == nil {
		return nil, fmt.Errorf("no list")
	}
	return l, nil
}

// theirs is go-sev-guest's verdict on the same bytes, without revocation.
func theirs(roots map[string][]*trust.AMDRootCerts, report, leaf []byte, vlek bool, at time.Time) error {
	return theirsWith(&oracle.Options{DisableCertFetching: true, Now: at, TrustedRoots: roots}, report, leaf, vlek)
}

func theirsWith(o *oracle.Options, report, leaf []byte, vlek bool) error {
	proto, err := abi.ReportToProto(report)
	if err != nil {
		return err
	}
	chain := &pb.CertificateChain{VcekCert: leaf}
	if vlek {
		chain = &pb.CertificateChain{VlekCert: leaf}
	}
	for _, rs := range o.TrustedRoots { // it insists on them being there, and does not trust them
		chain.ArkCert = rs[0].ProductCerts.Ark.Raw
		if chain.AskCert = rs[0].ProductCerts.Ark.Raw; rs[0].ProductCerts.Ask != nil {
			chain.AskCert = rs[0].ProductCerts.Ask.Raw
		}
		break
	}
	product := &pb.SevProduct{Name: pb.SevProduct_SEV_PRODUCT_MILAN} // it cannot tell for version 2
	if proto.Version >= 3 {
		product = abi.SevProductFromCpuid1Eax(proto.Cpuid1EaxFms)
	}
	return oracle.SnpAttestation(&pb.Attestation{Report: proto, CertificateChain: chain, Product: product}, o)
}

// Evidence that is signed well and has to be refused: where go-sev-guest takes
// it, the check is one that it leaves to package validate or to its caller.
func TestAgreesWithGoSevGuestOnWellSignedEvidence(t *testing.T) {
	a := attesttest.AMDVendor(t, "Milan")
	r := trust.AMDRootCertsProduct("Milan")
	if err := r.Decode(a.ASK.Raw, a.Root.Raw); err != nil {
		t.Fatal(err)
	}
	roots := map[string][]*trust.AMDRootCerts{"Milan": {r}}
	good := a.Case("", "", false, nil)
	if err := theirs(roots, good.Evidence.Value, good.Collateral[0].Value, false, good.At); err != nil {
		t.Fatalf("go-sev-guest refuses good evidence of the throw-away vendor: %v", err)
	}
	v, taken := fake(Options{}, a, false), []string{}
	for _, c := range bad(t, a, false) {
		if claims, _ := v.Verify(c.Evidence, c.Collateral, c.Expected, c.At); claims != nil {
			t.Errorf("%s: accepted", c.Name)
		}
		if c.Name == "ListOfForger" || c.Name == "ForgedIntermediate" {
			continue // in collateral that the other side is not shown
		}
		if err := theirs(roots, c.Evidence.Value, c.Collateral[0].Value, false, c.At); err == nil {
			taken = append(taken, c.Name)
		}
	}
	if got := strings.Join(taken, " "); got != theyTake {
		t.Errorf("go-sev-guest takes %s; DISAGREEMENTS.md says %s", got, theyTake)
	}
}

// theyTake is the bad evidence that go-sev-guest's verify takes.
const theyTake = "Debug MigrationAgent VMPL1 AskedByHost HigherTCBThanEndorsed LowerTCBThanEndorsed ReservedTCB NoCPU " +
	"OtherMeasurement OtherHostData OtherReportData"

// What go-sev-guest v0.15.0 refuses of the vectors although AMD's documents do
// not; DISAGREEMENTS.md has the reasons.
var theyRefuse = map[string]string{"turin-v5": "1.3.6.1.4.1.3704.1.3.9", "siena-a0-v3": "any trusted roots. Last error: <nil>"}

// Checks of ours that go-sev-guest leaves to another call (package validate)
// or does not make.
var oursAlone = []string{"chip", "tcb", "revocation", "debug", "migration", "vmpl", "format"}

func TestAgreesWithGoSevGuestOnVectors(t *testing.T) {
	roots := oracleRoots(t)
	for _, x := range vectors {
		ev, col := x.evidence(t), x.collateral(t)
		err := theirs(roots, ev.Value, col[0].Value, x.leaf == "vlek", x.at)
		why, disagree := theyRefuse[x.name]
		switch {
		case !disagree && err != nil:
			t.Errorf("%s: go-sev-guest refuses: %v", x.name, err)
		case disagree && (err == nil || !strings.Contains(err.Error(), why)):
			t.Errorf("%s: go-sev-guest says %v, expected to read of %q", x.name, err, why)
		}
	}
	if len(theyRefuse) != 2 {
		t.Fatal("the list of disagreements has changed; so must DISAGREEMENTS.md")
	}
}

// The disagreements that need more than a report.
func TestDisagreementsAboutCollateral(t *testing.T) {
	roots := oracleRoots(t)
	azure, aws := vectors[0], vectors[5]
	report, leaf := azure.evidence(t).Value, azure.collateral(t)[0].Value
	refused := func(want string, leaf []byte, list string) {
		t.Helper()
		col := attest.Collateral{attesttest.Cert(leaf), attesttest.CRL(file(t, list))}
		if c, v := New(azure.options()).Verify(azure.evidence(t), col, attesttest.ExpectedOf(report), azure.at); c != nil || failed(v) != want {
			t.Errorf("we fail %q, expected %q", failed(v), want)
		}
	}
	refused("chain signature", inside(leaf), lists["Milan"])
	if err := theirs(roots, report, inside(leaf), false, azure.at); err != nil {
		t.Errorf("bytes after the signature: they refuse: %v", err)
	}
	const old = "milan-2022-05-09.crl.der"
	refused("revocation", leaf, old)
	with := func(list string) *oracle.Options {
		return &oracle.Options{CheckRevocations: true, DisableCertFetching: true, Now: azure.at, TrustedRoots: oracleRoots(t), Getter: listGetter(file(t, list))}
	}
	if err := theirsWith(with(old), report, leaf, false); err != nil {
		t.Errorf("list out of date: they refuse: %v", err)
	}
	panicked := func() (p bool) {
		defer func() { p = recover() != nil }()
		_ = theirsWith(with(lists["Milan"]), aws.evidence(t).Value, aws.collateral(t)[0].Value, true)
		return false
	}()
	if !panicked {
		t.Error("VLEK and a list: they do not panic any more")
	}
}

// Random damage: what we accept they accept, and what they accept and we refuse
// is refused by a check that they do not make in this call.
func TestAgreesWithGoSevGuestOnMutations(t *testing.T) {
	roots := oracleRoots(t)
	rnd := rand.New(rand.NewPCG(3, 15))
	waive := attest.WaiveHostData | attest.WaiveMeasurement | attest.WaiveReportData
	both, ours, alone := 0, 0, map[string]int{}
	for i := range *mutations {
		x := vectors[i%len(vectors)]
		if theyRefuse[x.name] != "" {
			continue
		}
		ev, col := x.evidence(t), x.collateral(t)
		mutate(rnd, i, ev.Value, col[0].Value)
		o := x.options()
		o.Waive = waive
		claims, v := New(o).Verify(ev, col, attest.Expected{}, x.at)
		err := theirs(roots, ev.Value, col[0].Value, x.leaf == "vlek", x.at)
		switch {
		case claims != nil && err != nil:
			t.Errorf("%s, mutation %d: accepted by us, refused by go-sev-guest: %v", x.name, i, err)
		case claims != nil:
			both++
		case err == nil:
			ours++
			for _, check := range strings.Fields(failed(v)) {
				alone[check]++
				if !slices.Contains(oursAlone, check) {
					t.Errorf("%s, mutation %d: refused by our %s, accepted by go-sev-guest", x.name, i, check)
				}
			}
		}
	}
	t.Logf("both accept %d, we alone refuse %d, by %v", both, ours, alone)
	if both == 0 {
		t.Fatal("every mutation was refused by both; nothing was compared")
	}
}

// mutate damages report or leaf, or neither, once or several times.
func mutate(rnd *rand.Rand, i int, report, leaf []byte) {
	b := report
	switch n := i / len(vectors); {
	case n%16 == 0:
		return
	case n%2 == 0:
		b = leaf
	}
	for range 1 + rnd.IntN(3) {
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
	}
}

// go-sev-guest reads the same extensions out of the same certificates.
func TestEndorsementsAgreeWithGoSevGuest(t *testing.T) {
	n := 0
	for _, x := range vectors {
		c, err := trust.ParseCert(x.collateral(t)[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		if x.leaf != "vcek" || x.line == "Turin" {
			continue
		}
		ext, err := kds.VcekCertificateExtensions(c)
		if err != nil {
			t.Fatal(err)
		}
		n++
		tcb := kds.DecomposeTCBVersion(ext.TCBVersion)
		if got := fmt.Sprintf("bootloader %d, microcode %d, snp %d, tee %d", tcb.BlSpl, tcb.UcodeSpl, tcb.SnpSpl, tcb.TeeSpl); got != x.tcb {
			t.Errorf("%s: they read %s", x.name, got)
		}
		if !strings.HasPrefix(fmt.Sprintf("%x", ext.HWID), x.chip) || !strings.HasPrefix(ext.ProductName, x.line) {
			t.Errorf("%s: they read product %s, chip %x", x.name, ext.ProductName, ext.HWID)
		}
	}
	if n < 8 {
		t.Fatalf("compared %d", n)
	}
}
