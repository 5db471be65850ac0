// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package ear

import "github.com/enarx/enarx-go/attest"

// Values of trustworthiness claims (draft-ietf-rats-ar4si, section 2.3).
const (
	unexpectedEvidence = 1
	cryptoFailed       = 99

	recognisedInstance    = 2
	untrustworthyInstance = 96
	unrecognisedInstance  = 97

	approvedConfig      = 2
	safeConfig          = 3
	unsafeConfig        = 32
	unavailableConfig   = 36
	unsupportableConfig = 96

	approvedBoot           = 3
	contraindicatedRuntime = 96

	genuineHardware         = 2
	unsafeHardware          = 32
	contraindicatedHardware = 96
	unrecognisedHardware    = 97

	encryptedMemory = 2
	isolatedMemory  = 32
	visibleMemory   = 96
)

// against is what a failed row of a reason claims.
type against struct {
	every int // of all claims; 0 for those below
	on    func(*Vector) *int
	value int
}

func instance(v *Vector) *int { return &v.InstanceIdentity }
func config(v *Vector) *int   { return &v.Configuration }
func exec(v *Vector) *int     { return &v.Executables }
func hardware(v *Vector) *int { return &v.Hardware }
func runtime(v *Vector) *int  { return &v.RuntimeOpaque }

// claimOf says for every reason what it speaks against. A reason that is not
// here, which a test rules out, contradicts the hardware.
var claimOf = map[attest.Reason]against{
	attest.ReasonUnspecified:   {0, hardware, contraindicatedHardware},
	attest.ReasonFormat:        {unexpectedEvidence, nil, 0},
	attest.ReasonTooLarge:      {unexpectedEvidence, nil, 0},
	attest.ReasonTrailingBytes: {unexpectedEvidence, nil, 0},
	attest.ReasonPlatform:      {unexpectedEvidence, nil, 0},

	attest.ReasonRoot:            {cryptoFailed, nil, 0},
	attest.ReasonChain:           {cryptoFailed, nil, 0},
	attest.ReasonSignature:       {cryptoFailed, nil, 0},
	attest.ReasonTime:            {cryptoFailed, nil, 0},
	attest.ReasonCertExpired:     {0, hardware, unrecognisedHardware},
	attest.ReasonCertNotYetValid: {0, hardware, unrecognisedHardware},
	attest.ReasonRevoked:         {0, instance, untrustworthyInstance},
	attest.ReasonKey:             {0, hardware, unrecognisedHardware},

	attest.ReasonListMissing:           {0, hardware, unrecognisedHardware},
	attest.ReasonListExpired:           {0, hardware, unrecognisedHardware},
	attest.ReasonListNotYetValid:       {0, hardware, unrecognisedHardware},
	attest.ReasonListForeign:           {0, hardware, unrecognisedHardware},
	attest.ReasonListFormat:            {0, hardware, unrecognisedHardware},
	attest.ReasonCollateralMissing:     {0, hardware, unrecognisedHardware},
	attest.ReasonCollateralFormat:      {0, hardware, unrecognisedHardware},
	attest.ReasonCollateralSignature:   {0, hardware, unrecognisedHardware},
	attest.ReasonCollateralExpired:     {0, hardware, unrecognisedHardware},
	attest.ReasonCollateralNotYetValid: {0, hardware, unrecognisedHardware},
	attest.ReasonCollateralForeign:     {0, hardware, unrecognisedHardware},
	attest.ReasonQuotingEnclave:        {0, hardware, unrecognisedHardware},
	attest.ReasonTCBUnknown:            {0, hardware, unrecognisedHardware},
	attest.ReasonUnchecked:             {0, hardware, unrecognisedHardware},

	attest.ReasonTCBMismatch:               {0, hardware, contraindicatedHardware},
	attest.ReasonTCBFloor:                  {0, hardware, contraindicatedHardware},
	attest.ReasonTCBOutOfDate:              {0, hardware, contraindicatedHardware},
	attest.ReasonTCBConfiguration:          {0, hardware, contraindicatedHardware},
	attest.ReasonTCBSWHardening:            {0, hardware, contraindicatedHardware},
	attest.ReasonTCBConfigurationAndSW:     {0, hardware, contraindicatedHardware},
	attest.ReasonTCBOutOfDateConfiguration: {0, hardware, contraindicatedHardware},
	attest.ReasonTCBRelaunch:               {0, hardware, contraindicatedHardware},
	attest.ReasonTCBRevoked:                {0, hardware, contraindicatedHardware},
	attest.ReasonAdvisory:                  {0, hardware, contraindicatedHardware},

	attest.ReasonDebug:       {0, runtime, visibleMemory},
	attest.ReasonMigration:   {0, runtime, visibleMemory},
	attest.ReasonVMPL:        {0, config, unsupportableConfig},
	attest.ReasonGuestPolicy: {0, config, unsupportableConfig},
	attest.ReasonHostData:    {0, config, unsupportableConfig},
	attest.ReasonPolicy:      {0, config, unsupportableConfig},
	attest.ReasonMeasurement: {0, exec, contraindicatedRuntime},
	attest.ReasonSigner:      {0, exec, contraindicatedRuntime},
	attest.ReasonEventLog:    {0, exec, contraindicatedRuntime},
	attest.ReasonReportData:  {0, instance, unrecognisedInstance},
	attest.ReasonBinding:     {0, instance, unrecognisedInstance},
	attest.ReasonChip:        {0, instance, unrecognisedInstance},
}
