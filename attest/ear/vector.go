// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package ear

import (
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// Vector is the trustworthiness vector of AR4SI; 0 makes no claim.
type Vector struct {
	InstanceIdentity int `json:"instance-identity"`
	Configuration    int `json:"configuration"`
	Executables      int `json:"executables"`
	FileSystem       int `json:"file-system"`
	Hardware         int `json:"hardware"`
	RuntimeOpaque    int `json:"runtime-opaque"`
	StorageOpaque    int `json:"storage-opaque"`
	SourcedData      int `json:"sourced-data"`
}

func (v *Vector) all() []*int {
	return []*int{&v.InstanceIdentity, &v.Configuration, &v.Executables, &v.FileSystem, &v.Hardware, &v.RuntimeOpaque, &v.StorageOpaque, &v.SourcedData}
}

// Tiers of AR4SI, as JSON has them.
const (
	TierNone            = "none"
	TierAffirming       = "affirming"
	TierWarning         = "warning"
	TierContraindicated = "contraindicated"
)

// Tier is the tier of the worst claim.
func (v *Vector) Tier() string {
	worst := 0
	for _, n := range v.all() {
		worst = max(worst, *n)
	}
	switch {
	case worst >= 96:
		return TierContraindicated
	case worst >= 32:
		return TierWarning
	case worst >= 2:
		return TierAffirming
	}
	return TierNone
}

// Rows by what they speak for. What is not in either list (formats, rows that
// are always skipped) makes no claim by passing.
var (
	hardwareRows = []string{"chain", "dates", "revocation", "signature", "qe-signature", "attestation-key", "qe-identity", "tcb-info",
		"module", "tcb", "tcb-floor", "tcb-launch", "product", "chip", "time", "activation", "pcrs"}
	configRows = []string{"debug", "migration", "vmpl", "attributes", "sept-ve", "kss", "abi", "features", "smt", "single-socket", "cxl",
		"memory-xts", "rapl", "ciphertext-hiding", "page-swap", "alias-check", "mitigations", "guest-svn", "id-key", "author-key", "host-data",
		"secure-boot", "registers", "claim"}
)

// needed are the rows that must have been made for genuine hardware; of a TPM
// those that must have passed for it to be one.
var (
	needed     = []string{"chain", "dates", "signature"}
	neededTPM  = []string{"chain", "dates", "activation", "signature", "pcrs"}
	neededBoot = []string{"event-log", "measurement"}
)

// subject is what one submodule is made of.
type subject struct {
	platform  string
	simulated bool
	vouched   bool // a quote of a TPM whose key another piece vouches for
	accepted  bool
	rows      attest.Verdict // of the piece, and of wrapping and policy
}

// vector draws the claims from the rows.
func (s *subject) vector() Vector {
	var v Vector
	if s.simulated {
		v.Hardware, v.RuntimeOpaque = unrecognisedHardware, visibleMemory
		return v
	}
	if s.platform == attest.PlatformVTPM {
		s.affirmTPM(&v)
	} else {
		s.affirm(&v)
	}
	s.contradict(&v)
	if tier := v.Tier(); !s.accepted && (tier == TierAffirming || tier == TierWarning) {
		// Unreachable while every reason contradicts something: what was
		// refused is not to read as anything better than unknown.
		v = Vector{}
	}
	return v
}

// outcome is the worst outcome of the rows with the given names, and how many
// there are: Pass, Warn or Fail.
func (s *subject) outcome(names []string) (attest.Outcome, int) {
	worst, n := attest.Pass, 0
	for _, r := range s.rows {
		name, ok := strings.CutPrefix(r.Check, s.platform+".")
		if !ok || !contains(names, name) || name == "tcb-floor" && r.Outcome == attest.Warn {
			continue // no floor is in force: nothing known against the level
		}
		switch {
		case r.Outcome == attest.Fail:
			worst = attest.Fail
		case r.Outcome == attest.Warn && worst == attest.Pass:
			worst = attest.Warn
		case r.Outcome == attest.Skipped:
			continue
		}
		n++
	}
	return worst, n
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (s *subject) passed(name string) bool {
	o, n := s.outcome([]string{name})
	return n > 0 && o == attest.Pass
}

// affirm makes the claims of what passed.
func (s *subject) affirm(v *Vector) {
	genuine := true
	for _, name := range needed {
		o, n := s.outcome([]string{name})
		genuine = genuine && n > 0 && o != attest.Fail
	}
	if o, _ := s.outcome(hardwareRows); genuine && o == attest.Pass {
		v.Hardware = genuineHardware
	} else if genuine && o == attest.Warn {
		v.Hardware = unsafeHardware
	}
	if o, n := s.outcome(configRows); n > 0 && genuine {
		switch {
		case o == attest.Warn:
			v.Configuration = unsafeConfig
		case o == attest.Pass && s.passed("host-data"):
			v.Configuration = approvedConfig
		case o == attest.Pass:
			v.Configuration = safeConfig
		}
	}
	if genuine && s.passed("measurement") {
		v.Executables = approvedBoot
	}
	if genuine && s.passed("chip-list") {
		v.InstanceIdentity = recognisedInstance
	}
	if genuine && s.passed("debug") {
		switch s.platform {
		case attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX:
			v.RuntimeOpaque = encryptedMemory
		case attest.PlatformNitro:
			v.RuntimeOpaque = isolatedMemory
		}
	}
}

// affirmTPM makes the claims of a TPM's quote that passed. AR4SI (appendix on
// HSM-based attesters) has TPMs claim hardware for the firmware that was
// measured, executables for what it started, and nothing of the memory, which
// whoever runs the machine can read.
func (s *subject) affirmTPM(v *Vector) {
	all := func(names ...string) bool {
		for _, name := range names {
			if !s.passed(name) {
				return false
			}
		}
		return true
	}
	genuine := all(neededTPM...)
	if s.vouched {
		// Whose the key is and who sees the memory, the claims of the piece say
		// that vouches for it.
		genuine = all("chain", "signature", "pcrs")
	} else {
		v.RuntimeOpaque = visibleMemory
	}
	if !genuine {
		return
	}
	v.Configuration = unavailableConfig // nothing says how the machine is set up
	if o, _ := s.outcome(configRows); o == attest.Warn {
		v.Configuration = unsafeConfig
	}
	if o, _ := s.outcome([]string{"debug", "drivers", "pcr2"}); all(neededBoot...) && o == attest.Pass {
		v.Executables = approvedBoot
	}
	// Without a value of the relying party's for it, the firmware is any.
	if o, _ := s.outcome(hardwareRows); o == attest.Pass && s.passed("pcr0") {
		v.Hardware = genuineHardware
	}
	if s.passed("chip-list") {
		v.InstanceIdentity = recognisedInstance
	}
}

// contradict makes the claims of what failed. Where two speak of the same, the
// worse counts.
func (s *subject) contradict(v *Vector) {
	every := 0
	for _, r := range s.rows {
		if r.Outcome != attest.Fail {
			continue
		}
		a, ok := claimOf[r.Reason]
		if !ok {
			a = against{0, hardware, contraindicatedHardware}
		}
		every = max(every, a.every)
		if a.on != nil {
			if to := a.on(v); *to < a.value {
				*to = a.value
			}
		}
	}
	if every != 0 {
		for _, n := range v.all() {
			*n = every
		}
	}
}
