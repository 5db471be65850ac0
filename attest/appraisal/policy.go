// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/nitro"
	"github.com/enarx/enarx-go/attest/sgx"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// Policy is a relying party's policy file, parsed; package policytoml reads
// it. The zero Policy asks for what every verifier insists on and excuses
// nothing.
type Policy struct {
	// Digest is the SHA-256 digest of the file; nil if there was none.
	Digest *[32]byte
	// Platforms are the accepted platforms; nil accepts every one that has a
	// verifier, an empty list that is not nil none.
	Platforms []string
	// Engines are the accepted Wasm engines of Keeps, by name and without
	// version; nil accepts every one. The measurement decides which engine a
	// Keep has, so a policy that names some demands measurements.
	Engines []string
	// Demand names expectations that must be given, by the relying party or by
	// the wrapping: one that is missing refuses the evidence, in place of
	// being named as not checked.
	Demand attest.Waiver
	// TCB is asked of firmware level and chip, on all platforms.
	TCB attest.TCBPolicy
	// Floors are asked of one platform each, beside those of TCB.
	Floors []Floor
	// SNP, TDX, SGX, Nitro and VTPM are asked of their platforms.
	SNP   SNPPolicy
	TDX   TDXPolicy
	SGX   SGXPolicy
	Nitro NitroPolicy
	VTPM  VTPMPolicy
}

// Floor is a lowest accepted firmware level of one platform.
type Floor struct {
	Platform string
	attest.TCBFloor
}

// References are those of refs whose engine p accepts. A value that does not
// say which engine it is of is not among them if p names some.
func (p *Policy) References(refs []attest.ReferenceValue) []attest.ReferenceValue {
	if p.Engines == nil || refs == nil {
		return refs
	}
	accepted := []attest.ReferenceValue{}
	for _, r := range refs {
		name, _, _ := strings.Cut(r.Engine, " ")
		if r.Engine != "" && slices.Contains(p.Engines, name) {
			accepted = append(accepted, r)
		}
	}
	return accepted
}

// tcb is what is asked of firmware level and chip of one platform.
func (p *Policy) tcb(platform string) attest.TCBPolicy {
	t := p.TCB
	t.Floors = slices.Clone(t.Floors)
	for _, f := range p.Floors {
		if f.Platform == platform {
			t.Floors = append(t.Floors, f.TCBFloor)
		}
	}
	return t
}

// SNPPolicy is what is asked of platform snp beside its TCB; see snp.Options
// for the meaning of each.
type SNPPolicy struct {
	VMPL                           uint32
	Require                        snp.Feature
	MinABI                         snp.ABI
	Mitigations                    uint64
	Providers                      []string
	IDKeyDigests, AuthorKeyDigests [][48]byte
	MinGuestSVN                    uint32
	AcceptMissingCRL               bool
}

func (p SNPPolicy) options(w attest.Waiver, c *snp.Cache) snp.Options {
	return snp.Options{
		Cache: c, Waive: w, VMPL: p.VMPL, Require: p.Require, MinABI: p.MinABI, Mitigations: p.Mitigations, Providers: p.Providers,
		IDKeyDigests: p.IDKeyDigests, AuthorKeyDigests: p.AuthorKeyDigests, MinGuestSVN: p.MinGuestSVN, AcceptMissingCRL: p.AcceptMissingCRL,
	}
}

// TDXPolicy is what is asked of platform tdx beside its TCB; see tdx.Options
// for the meaning of each.
type TDXPolicy struct {
	MRTD                   [][48]byte
	RTMR                   [4][][48]byte
	MRSEAM                 [][48]byte
	MROwner, MROwnerConfig [][48]byte
	ServiceTDs             [][48]byte
	XFAM                   *uint64
	AcceptPendingVE        bool
}

func (p TDXPolicy) options(w attest.Waiver, c *tdx.Cache) tdx.Options {
	return tdx.Options{
		Waive: w, Cache: c, MRTD: p.MRTD, RTMR: p.RTMR, MRSEAM: p.MRSEAM, MROwner: p.MROwner, MROwnerConfig: p.MROwnerConfig,
		ServiceTDs: p.ServiceTDs, XFAM: p.XFAM, AcceptPendingVE: p.AcceptPendingVE,
	}
}

// SGXPolicy is what is asked of platform sgx beside its TCB.
type SGXPolicy struct {
	// Signer of the enclave; nil demands none.
	Signer *sgx.Signer
}

func (p SGXPolicy) options(w attest.Waiver, c *tdx.Cache) sgx.Options {
	return sgx.Options{Signer: p.Signer, Waive: w, Cache: c}
}

// NitroPolicy is what is asked of platform nitro; see nitro.Options.
type NitroPolicy struct {
	PCRs       map[uint][]byte
	RequireCRL bool
}

func (p NitroPolicy) options(w attest.Waiver, c *nitro.Cache) nitro.Options {
	return nitro.Options{PCRs: p.PCRs, RequireCRL: p.RequireCRL, Waive: w, Cache: c}
}

// VTPMPolicy is what is asked of platform vtpm; see vtpm.Options. Without roots
// no TPM is genuine, except one whose key other evidence vouches for.
type VTPMPolicy struct {
	// Roots are those that the relying party has named, beside its policy
	// file: that one cannot name any, and so not more than was named.
	Roots      []*x509.Certificate
	RootSource string
	// OnlyRoots are the SHA-256 digests of the certificates that may be among
	// Roots; any other is left out. nil leaves none out, an empty list that
	// is not nil all.
	OnlyRoots              [][32]byte
	PCRs                   map[uint][]byte
	SecureBoot, RequireCRL bool
	// AcceptUnprovenActivation takes the word of whoever saved evidence of a
	// Keep that the attestation key is in the TPM of the certificate. In a
	// session with the Keep itself it excuses nothing.
	AcceptUnprovenActivation bool
}

// Name names the roots that TPMs count under. What the verdict then says of them
// is the same wherever the same were named, in whatever files and order.
func (p *VTPMPolicy) Name(roots []*x509.Certificate) {
	if p.Roots = roots; len(roots) > 0 {
		p.RootSource = "roots of TPMs that were named, SHA-256 " + vtpm.Fingerprints(roots)
	}
}

// Options are those of a verifier under the policy, without any waiver.
func (p VTPMPolicy) Options() vtpm.Options { return p.options(0, nil) }

func (p VTPMPolicy) options(w attest.Waiver, v *evidence.Vouch) vtpm.Options {
	o := vtpm.Options{Roots: p.Roots, RootSource: p.RootSource, SecureBoot: p.SecureBoot, RequireCRL: p.RequireCRL, PCRs: p.PCRs, Waive: w}
	if p.OnlyRoots != nil && len(p.Roots) > 0 {
		o.Roots = slices.DeleteFunc(slices.Clone(p.Roots), func(c *x509.Certificate) bool {
			return !slices.Contains(p.OnlyRoots, sha256.Sum256(c.Raw))
		})
		o.RootSource = fmt.Sprintf("%s, of which the policy file accepts %d of %d", p.RootSource, len(o.Roots), len(p.Roots))
	}
	if v != nil {
		o.VouchedKey, o.VouchedBy = v.Key, v.Source
	}
	return o
}

// rows are the checks of policy that no verifier makes, and the rules that
// begin or end: what will change is said before it does.
func (p *Policy) rows(platforms []string, at time.Time) attest.Verdict {
	var rows attest.Verdict
	if p.Platforms != nil {
		row := attest.Row{
			Check: "policy.platform", Seen: strings.Join(platforms, ", "), Expected: "only " + orNone(p.Platforms), Source: thePolicy, Outcome: attest.Pass,
		}
		for _, x := range platforms {
			switch {
			case !slices.Contains(p.Platforms, x):
				row.Outcome, row.Reason = attest.Fail, attest.ReasonPolicy
				row.Todo = "use a platform that the policy accepts, or add this one to its platforms"
			case x == attest.PlatformSim && row.Outcome == attest.Pass:
				row.Outcome = attest.Simulated
			}
		}
		rows = append(rows, row)
	}
	return rows
}

const thePolicy = "the policy file"

// demandNames are the expectations with their names in a policy file, and how
// to give each.
var demandNames = []struct {
	waiver    attest.Waiver
	name, how string
}{
	{attest.WaiveMeasurement, "measurement", "--reference FILE --reference-key FILE"},
	{attest.WaiveHostData, "host-data", "--host-data HEX"},
	{attest.WaiveReportData, "report-data", "--report-data HEX"},
}

// demanded is the row of the expectations that the policy demands; missing are
// those that nobody has given. There is none if it demands nothing.
func (p *Policy) demanded(platform string, missing attest.Waiver) attest.Verdict {
	var want, lack, how []string
	for _, d := range demandNames {
		if p.Demand&d.waiver != 0 {
			want = append(want, d.name)
			if missing&d.waiver != 0 {
				lack, how = append(lack, d.name), append(how, d.how)
			}
		}
	}
	if len(want) == 0 {
		return nil
	}
	row := attest.Row{
		Check: platform + ".demanded", Seen: "given: " + strings.Join(want, ", "), Expected: "an expectation for " + strings.Join(want, ", "),
		Source: thePolicy, Outcome: attest.Pass,
	}
	if platform == attest.PlatformSim {
		row.Outcome = attest.Simulated
	}
	if len(lack) > 0 {
		row.Seen, row.Outcome, row.Reason = "not given: "+strings.Join(lack, ", "), attest.Fail, attest.ReasonPolicy
		row.Todo = "give what the policy demands: " + strings.Join(how, ", ")
	}
	return attest.Verdict{row}
}

// unproven is the row of saved evidence of a Keep with a TPM. Nothing in it
// shows that the key which signed it is in the TPM of the certificate: anybody
// could have put that certificate beside a key of his own.
func (p *Policy) unproven(rows attest.Verdict) attest.Verdict {
	const check = attest.PlatformVTPM + "."
	if !slices.ContainsFunc(rows, func(r attest.Row) bool { return r.Check == check+"activation" && r.Outcome == attest.Skipped }) {
		return nil
	}
	row := attest.Row{
		Check: check + "saved", Seen: "only the word of whoever saved this evidence that its key is that TPM's",
		Expected: "a proof, which the Keep gives to whoever asks it", Source: ours, Outcome: attest.Fail, Reason: attest.ReasonUnchecked,
		Todo: "ask the Keep itself (enarx deploy, attach, logs); if you trust whoever saved the evidence, say so with accept_unproven_activation = true in " +
			"[vtpm] of the policy. Until then its rows say what somebody's key has signed",
	}
	if p.VTPM.AcceptUnprovenActivation {
		row.Outcome, row.Reason, row.Source = attest.Warn, "", thePolicy
		row.Todo = "the other rows hold if whoever saved the evidence can be trusted, and otherwise say nothing of any TPM"
	}
	return attest.Verdict{row}
}

func orNone(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

// Dates are all times at which something in p begins or ends, in order.
func (p *Policy) Dates() []time.Time {
	var list []time.Time
	for _, f := range p.TCB.Floors {
		list = append(list, f.From)
	}
	for _, f := range p.Floors {
		list = append(list, f.From)
	}
	for _, a := range p.TCB.Accept {
		list = append(list, a.Until)
	}
	list = slices.DeleteFunc(list, time.Time.IsZero)
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}
