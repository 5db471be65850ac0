// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import "github.com/enarx/enarx-go/attest"

// Status is what Intel says about a TCB level, in Intel's words (PCS API,
// "TCB info"; TDX adds the two that advise to relaunch).
type Status string

// The statuses. NotSupported is Intel's word for a platform below every level.
const (
	UpToDate                             Status = "UpToDate"
	SWHardeningNeeded                    Status = "SWHardeningNeeded"
	ConfigurationNeeded                  Status = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded    Status = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                            Status = "OutOfDate"
	OutOfDateConfigurationNeeded         Status = "OutOfDateConfigurationNeeded"
	TDRelaunchAdvised                    Status = "TDRelaunchAdvised"
	TDRelaunchAdvisedConfigurationNeeded Status = "TDRelaunchAdvisedConfigurationNeeded"
	Revoked                              Status = "Revoked"
	NotSupported                         Status = "NotSupported"
)

// levelStatus says whether s can stand in a list of levels that Intel signed.
func levelStatus(s Status) bool {
	switch s {
	case UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded,
		OutOfDate, OutOfDateConfigurationNeeded, Revoked:
		return true
	}
	return false
}

// partStatus says the same of the levels of a TDX module or quoting enclave,
// which have no configuration.
func partStatus(s Status) bool { return s == UpToDate || s == OutOfDate || s == Revoked }

// configurationNeeded says whether s asks for a change of configuration.
func configurationNeeded(s Status) bool {
	switch s {
	case ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDateConfigurationNeeded:
		return true
	}
	return false
}

// converge merges the status of a part, TDX module or quoting enclave, into
// that of the platform: a part can only make it worse.
func converge(platform, part Status) Status {
	switch {
	case platform == NotSupported || part == NotSupported:
		return NotSupported
	case platform == Revoked || part == Revoked:
		return Revoked
	case part != OutOfDate:
		return platform
	case platform == UpToDate || platform == SWHardeningNeeded:
		return OutOfDate
	case platform == ConfigurationNeeded || platform == ConfigurationAndSWHardeningNeeded:
		return OutOfDateConfigurationNeeded
	}
	return platform
}

// statusReason is the reason of a platform that is refused for its status.
func statusReason(s Status) attest.Reason {
	switch s {
	case SWHardeningNeeded:
		return attest.ReasonTCBSWHardening
	case ConfigurationNeeded:
		return attest.ReasonTCBConfiguration
	case ConfigurationAndSWHardeningNeeded:
		return attest.ReasonTCBConfigurationAndSW
	case OutOfDate:
		return attest.ReasonTCBOutOfDate
	case OutOfDateConfigurationNeeded:
		return attest.ReasonTCBOutOfDateConfiguration
	case TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded:
		return attest.ReasonTCBRelaunch
	case Revoked:
		return attest.ReasonTCBRevoked
	}
	return attest.ReasonTCBUnknown
}

// remedy is what to do about a status.
func remedy(s Status) string {
	switch s {
	case OutOfDate, OutOfDateConfigurationNeeded:
		return "the host must install current BIOS, microcode and TDX module or SGX software"
	case ConfigurationNeeded:
		return "the host must change its BIOS settings as the advisories say"
	case SWHardeningNeeded, ConfigurationAndSWHardeningNeeded:
		return "the advisories need mitigations in software or settings; if your Keep has them, accept status and advisories by name in your policy"
	case TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded:
		return "the host has updated its TDX module; start the Keep anew"
	case Revoked:
		return "Intel has revoked this level; do not use this host"
	case NotSupported:
		return "the platform is below every level that Intel lists; the host must update it"
	}
	return "do not use this host"
}
