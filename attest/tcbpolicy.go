// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import "time"

// TCBPolicy is what a relying party asks of firmware level and chip, and what
// it excuses for a while. The zero value is the strict one: a level that the
// vendor calls up to date, no floor beyond that, any chip.
//
// Everything in it is held against the time of the appraisal, so that the same
// policy file announces a rule before it is in force and ends an exception by
// itself.
type TCBPolicy struct {
	// Floors are the lowest accepted levels. All that apply count. Without
	// any, a verifier warns; but if there are some for lines of a platform,
	// a line of it that none applies to is refused.
	Floors []TCBFloor
	// Accept excuses what the vendor says against a level.
	Accept []TCBAcceptance
	// Chips are the accepted chips: CHIP_ID of snp, 64 bytes; PPID or
	// platform instance id of tdx and sgx, 16 bytes. nil accepts any; an
	// empty list that is not nil accepts none. A platform that masks its
	// chip is none of them.
	Chips [][]byte
}

// TCBFloor is a lowest accepted level.
type TCBFloor struct {
	// Line limits the floor to a product line ("Milan", "Genoa", "Turin") of
	// snp or to an FMSPC of tdx and sgx, 12 hexadecimal digits; empty means
	// all of the platform.
	Line string
	// Min is the lowest accepted value by component, as in Claims.TCB. A
	// component that the platform does not have is below every floor.
	Min map[string]uint64
	// From is when the floor comes into force; the zero time means always.
	// Before, a level below it gives a warning that names the day.
	From time.Time
	// Note is for people: why, or who decided.
	Note string
}

// TCBAcceptance excuses statuses of tdx and sgx that are not UpToDate. Revoked
// platforms, and those below every level that the vendor lists, are never
// excused.
type TCBAcceptance struct {
	// Statuses in the vendor's words, such as "OutOfDate".
	Statuses []string
	// Advisories that may apply, such as "INTEL-SA-01036"; one that is not
	// named refuses the platform.
	Advisories []string
	// Until ends the grace window: at that time and after, the acceptance
	// counts for nothing. The zero time means no end.
	Until time.Time
	// Note is for people: why, or who decided.
	Note string
}
