// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"bytes"
	"fmt"
	"os"
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
