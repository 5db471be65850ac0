// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"slices"
	"strings"
)

// Standing says where one layer of the stack stands with the tenant.
type Standing string

// The standings. StandSimulated is what a sim Keep has in place of verified.
const (
	StandVerified  Standing = "verified"  // checked, by the check named
	StandExcluded  Standing = "excluded"  // need not be trusted: it cannot see or change the Keep
	StandAssumed   Standing = "assumed"   // trusted without a check
	StandExposed   Standing = "exposed"   // can see or change the workload
	StandSimulated Standing = "simulated" // a check ran on made-up evidence; means exposed
)

// Layer is one layer of the stack in a trust statement.
type Layer struct {
	Layer    string   `json:"layer"`    // one of the seven names below
	Standing Standing `json:"standing"` // where it stands
	By       string   `json:"by"`       // the checks it rests on, or "none"
	Words    string   `json:"words"`    // one sentence for a person
}

// The layers of every trust statement, from the bottom up.
const (
	LayerCPU        = "CPU"
	LayerFirmware   = "firmware"
	LayerHypervisor = "hypervisor"
	LayerHostKernel = "host kernel"
	LayerKeepKernel = "Keep kernel"
	LayerRuntime    = "Keep runtime"
	LayerWorkload   = "workload"
)

// TrustStatement says for each layer of the stack where it stands, after the
// appraisal that gave claims, or un, and the verdict v.
//
// It never says more than was checked: claims that no verifier made, a verdict
// that is not OK, a platform that does not fit, or a missing row give the
// statement of a Keep of which nothing is known, in which every layer that
// could see inside is exposed. Whether claims are good enough is for package
// policy to say.
func TrustStatement(platform string, claims *Claims, un *Unattested, v Verdict) []Layer {
	switch {
	case claims == nil && un != nil && un.Platform == platform && platform == PlatformProcess:
		return unattested("no evidence exists for a plain process", false)
	case claims == nil && un != nil && un.Platform == platform && platform == PlatformVM:
		return unattested("no evidence exists for a plain VM", true)
	case un != nil || !claims.Verified() || claims.Platform != platform || !v.OK():
		return unattested("nothing was verified", false)
	case claims.Simulated || platform == PlatformSim:
		return simulated(v)
	case claims.Debug:
		return unattested("the Keep may be debugged by its host", true)
	case platform == PlatformSNP || platform == PlatformTDX:
		return confidentialVM(platform, v)
	case platform == PlatformNitro:
		return nitroEnclave(v)
	case platform == PlatformSGX:
		return enclave(v)
	case platform == PlatformVTPM:
		return measuredBoot(v)
	}
	return unattested("no statement exists for platform "+platform, false)
}

// unattested is the statement for a host that can see everything.
func unattested(why string, ownKernel bool) []Layer {
	keepKernel := Layer{LayerKeepKernel, StandExposed, "none", "the Keep runs on the host's kernel, which can read and change it"}
	if ownKernel {
		keepKernel = Layer{LayerKeepKernel, StandExposed, "none", "the Keep has a kernel of its own, but nothing proves which one"}
	}
	return []Layer{
		{LayerCPU, StandAssumed, "none", "any CPU; " + why},
		{LayerFirmware, StandExposed, "none", "the host's firmware can read and change the Keep"},
		{LayerHypervisor, StandExposed, "none", "whoever runs the machine can read and change the Keep"},
		{LayerHostKernel, StandExposed, "none", "the host can see inside: memory, keys, input and output"},
		keepKernel,
		{LayerRuntime, StandExposed, "none", "nothing proves which Keep runtime this is"},
		{LayerWorkload, StandExposed, "none", "the host can read and change the workload; it is isolated from the host only for the host's sake"},
	}
}

// simulated is the statement for platform sim: real checks of made-up evidence.
func simulated(v Verdict) []Layer {
	const open = "the host can see inside: this is a simulation"
	cpu := by(v, "chain", "signature", "chip")
	if cpu == notAll { // made-up evidence of a shape that names no chip
		cpu = by(v, "chain", "signature")
	}
	return []Layer{
		{LayerCPU, StandSimulated, cpu, "made-up hardware under a throw-away root; proves nothing"},
		{LayerFirmware, StandSimulated, by(v, "tcb"), "made-up firmware level; proves nothing"},
		{LayerHypervisor, StandExposed, "none", open},
		{LayerHostKernel, StandExposed, "none", open},
		{LayerKeepKernel, StandExposed, "none", "the Keep runs on the host's kernel, which can read and change it"},
		{LayerRuntime, StandSimulated, by(v, "measurement"), "the holder of the root says that it started this Keep runtime"},
		{LayerWorkload, StandExposed, "none", "the host can read and change the workload"},
	}
}

// confidentialVM is the statement for a VM whose memory the CPU encrypts. A
// layer is verified only if every row that it rests on has passed.
func confidentialVM(platform string, v Verdict) []Layer {
	layers := []Layer{
		{LayerCPU, StandVerified, by(v, "chain", "dates", "signature", "chip", "revocation"), "genuine, by the vendor's signature up to its root"},
		{LayerFirmware, StandVerified, by(v, "tcb", "tcb-floor"), "at a level the vendor has certified and not below the floor"},
		{LayerHypervisor, StandExcluded, by(v, "debug", "migration", "vmpl"), "cannot read the Keep's memory, and debugging and migration are off"},
		{LayerHostKernel, StandExcluded, by(v, "debug", "migration", "vmpl"), "cannot read the Keep's memory; it sees timing, sizes in classes and dialled addresses"},
		{LayerKeepKernel, StandVerified, by(v, "measurement"), "part of the launch measurement of an accepted release"},
		{LayerRuntime, StandVerified, by(v, "measurement", "host-data", "report-data"), "part of the launch measurement of an accepted release, and bound to this connection"},
		{LayerWorkload, StandAssumed, "none", "your own; sent to this Keep alone, after the checks above"},
	}
	if platform == PlatformTDX {
		layers[0].By = by(v, "chain", "dates", "signature", "revocation")
		layers[2].By = by(v, "debug", "migration")
		layers[3].By = layers[2].By
	}
	return onlyChecked(layers)
}

// nitroEnclave is the statement for what AWS's hypervisor vouches for. A
// NitroTPM has no row of debugging that passed, so its instance is open to
// whoever administers it.
func nitroEnclave(v Verdict) []Layer {
	return onlyChecked([]Layer{
		{LayerCPU, StandAssumed, "none", "AWS's machine; no evidence names it"},
		{LayerFirmware, StandAssumed, "none", "AWS's; no evidence names its level"},
		{LayerHypervisor, StandAssumed, "none", "AWS's Nitro hypervisor, which signed this by a certificate of AWS's; it can read and change the Keep"},
		{LayerHostKernel, StandExcluded, by(v, "chain", "dates", "signature", "time", "debug"), "the parent instance; on the hypervisor's word it cannot read the Keep's memory, and debugging is off"},
		{LayerKeepKernel, StandVerified, by(v, "signature", "measurement"), "part of the launch measurement of an accepted release, on the hypervisor's word"},
		{LayerRuntime, StandVerified, by(v, "signature", "measurement", "host-data", "report-data"), "part of the launch measurement of an accepted release, on the hypervisor's word, and bound to this connection"},
		{LayerWorkload, StandAssumed, "none", "your own; sent to this Keep alone, after the checks above"},
	})
}

// measuredBoot is the statement for a machine whose TPM says what it has booted:
// a check of that moment, on the word of the TPM and of the firmware, which
// measures whatever comes after it. Whoever runs the machine is not kept out of
// it, before or after.
func measuredBoot(v Verdict) []Layer {
	tpm := []string{"chain", "dates", "attestation-key", "activation", "signature", "pcrs", "event-log", "registers", "drivers", "measurement", "debug"}
	if by(v, "pcr2") != notAll { // the relying party has said itself what that register must be
		tpm[slices.Index(tpm, "drivers")] = "pcr2"
	}
	return onlyChecked([]Layer{
		{LayerCPU, StandAssumed, "none", "any CPU. The TPM is genuine by the root that was named: who holds the root's key, or runs a TPM in software, can make up all the rest"},
		{LayerFirmware, StandExposed, "none", "measures what it starts, and nothing proves which firmware it is: the host can have one that reports another boot than it makes"},
		{LayerHypervisor, StandExposed, "none", "whoever runs the machine can read and change its memory at any time; a TPM does not prevent it"},
		{LayerHostKernel, StandExposed, "none", "the host can see inside: memory, keys, input and output"},
		{LayerKeepKernel, StandVerified, by(v, tpm...), "that of an accepted release was booted, on the word of TPM and firmware; the host can change it since"},
		{LayerRuntime, StandVerified, by(v, append(tpm, "host-data", "report-data")...), "that of an accepted release was booted, on the same word, and is bound to this connection; the host can read its keys and change it"},
		{LayerWorkload, StandExposed, "none", "the host can read and change the workload while it runs"},
	})
}

// enclave is the statement for a process of which the CPU encrypts the memory.
// It is one process: what stands between workload and the power to prove is the
// engine's sandbox alone.
func enclave(v Verdict) []Layer {
	return onlyChecked([]Layer{
		{LayerCPU, StandVerified, by(v, "chain", "dates", "signature", "revocation"), "genuine, by the vendor's signature up to its root"},
		{LayerFirmware, StandVerified, by(v, "tcb", "tcb-floor"), "at a level the vendor has certified and not below the floor"},
		{LayerHypervisor, StandExcluded, by(v, "debug", "attributes"), "cannot read the enclave's memory, and debugging is off"},
		{LayerHostKernel, StandExcluded, by(v, "debug", "attributes"), "cannot read the enclave's memory; it serves its system calls, and sees timing, sizes in classes and dialled addresses"},
		{LayerKeepKernel, StandVerified, by(v, "measurement"), "there is none: a library inside the measured enclave stands in for it"},
		{LayerRuntime, StandVerified, by(v, "measurement", "kss", "host-data", "report-data"), "part of the measurement of an accepted release, and bound to this connection; in one process with the workload, which only the engine's sandbox keeps from the Keep's power to prove"},
		{LayerWorkload, StandAssumed, "none", "your own; sent to this Keep alone, after the checks above"},
	})
}

// onlyChecked exposes the layers that rest on a row that has not passed.
func onlyChecked(layers []Layer) []Layer {
	for i := range layers {
		if s := layers[i].Standing; (s == StandVerified || s == StandExcluded) && layers[i].By == notAll {
			layers[i] = Layer{layers[i].Layer, StandExposed, "none", "a check that this would rest on was not made or gave a warning"}
		}
	}
	return layers
}

// notAll is what by returns when a row is missing or has not fully passed.
const notAll = "none"

// by joins the full names of the rows that end in the given names, if each of
// them is there and has passed.
func by(v Verdict, names ...string) string {
	var found []string
	for _, name := range names {
		ok := false
		for _, r := range v {
			if strings.HasSuffix(r.Check, "."+name) && (r.Outcome == Pass || r.Outcome == Simulated) {
				found, ok = append(found, r.Check), true
				break
			}
		}
		if !ok {
			return notAll
		}
	}
	return strings.Join(found, ", ")
}
