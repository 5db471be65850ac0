// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// Options are what a relying party asks for beyond [attest.Expected], and what
// it excuses. The zero Options are strict where a check can be missing and
// demand nothing of what depends on the machine or the guest's makers. For each
// list, nil demands nothing and a list that is empty but not nil accepts
// nothing; all digests are SHA-384 as they stand in the TD report.
type Options struct {
	// Waive names expectations that need not be given; see [attest.Waiver].
	Waive attest.Waiver
	// Cache may be nil.
	Cache *Cache

	// MRTD and RTMR are accepted values of single registers, RTMR by its
	// number from 0 to 3: for those who know a guest's parts rather than its
	// [Measurement], beside which they count.
	MRTD [][48]byte
	RTMR [4][][48]byte
	// MRSEAM are the accepted TDX modules. Without, a module counts by its
	// signer and its level, as Intel has it.
	MRSEAM [][48]byte
	// MROwner and MROwnerConfig are the accepted values of two fields that
	// the host fixed at the start.
	MROwner, MROwnerConfig [][48]byte
	// ServiceTDs are accepted values of MR_SERVICETD. A TD that another one
	// serves is refused unless it is listed here; one that may be migrated
	// always is.
	ServiceTDs [][48]byte
	// XFAM, if not nil, is a mask of the extended CPU features that may be
	// on (bits as in XCR0 and IA32_XSS).
	XFAM *uint64
	// Forbid names attributes that must be off.
	Forbid Attribute
	// AcceptPendingVE accepts, with a warning, a TD that was started without
	// SEPT_VE_DISABLE: its host can raise exceptions in it by taking pages
	// away, which not every kernel withstands.
	AcceptPendingVE bool
}

// Attribute is a TD attribute that is harmless to most; attributes are joined
// with "|". Bits are those of the TDX Module ABI specification, TD_ATTRIBUTES.
type Attribute uint64

// The attributes that can be forbidden.
const (
	PKS     Attribute = attrPKS     // supervisor protection keys
	KL      Attribute = attrKL      // key locker
	Perfmon Attribute = attrPerfmon // performance monitoring by the TD itself
	LASS    Attribute = attrLASS    // linear address space separation
)

// clone keeps nothing that the caller can change.
func (o Options) clone() Options {
	for _, l := range []*[][48]byte{&o.MRTD, &o.RTMR[0], &o.RTMR[1], &o.RTMR[2], &o.RTMR[3], &o.MRSEAM, &o.MROwner, &o.MROwnerConfig, &o.ServiceTDs} {
		*l = slices.Clone(*l)
	}
	if o.XFAM != nil {
		mask := *o.XFAM
		o.XFAM = &mask
	}
	return o
}

// check makes the rows of all that can be demanded of a TD and need not be.
func (o *Options) check(a *dcap.Appraisal, td *dcap.TDReport) {
	registers := []struct {
		check string
		list  [][48]byte
		got   [48]byte
		why   attest.Reason
	}{
		{"mrtd", o.MRTD, td.MRTD, attest.ReasonMeasurement},
		{"rtmr0", o.RTMR[0], td.RTMR[0], attest.ReasonMeasurement}, {"rtmr1", o.RTMR[1], td.RTMR[1], attest.ReasonMeasurement},
		{"rtmr2", o.RTMR[2], td.RTMR[2], attest.ReasonMeasurement}, {"rtmr3", o.RTMR[3], td.RTMR[3], attest.ReasonMeasurement},
		{"mrseam", o.MRSEAM, td.MRSEAM, attest.ReasonGuestPolicy},
		{"owner", o.MROwner, td.MROwner, attest.ReasonGuestPolicy}, {"owner-config", o.MROwnerConfig, td.MROwnerConfig, attest.ReasonGuestPolicy},
	}
	for _, r := range registers {
		a.Demand(r.list != nil, slices.Contains(r.list, r.got), r.why, r.check, fmt.Sprintf("%x", r.got), fmt.Sprintf("one of %d values", len(r.list)),
			"this TD is not one that you accept; look at what it was started as")
	}
	xfam, mask := binary.LittleEndian.Uint64(td.XFAM[:]), uint64(0)
	if o.XFAM != nil {
		mask = *o.XFAM
	}
	a.Demand(o.XFAM != nil, xfam&^mask == 0, attest.ReasonGuestPolicy, "xfam", fmt.Sprintf("XFAM %#x", xfam), fmt.Sprintf("nothing beyond %#x", mask),
		"the TD has CPU features that you do not accept; start it with fewer")
	for _, x := range []struct {
		check string
		bit   Attribute
	}{{"pks", PKS}, {"kl", KL}, {"perfmon", Perfmon}, {"lass", LASS}} {
		seen, on := "off", Attribute(td.Attributes())&x.bit != 0
		if on {
			seen = "on"
		}
		a.Demand(o.Forbid&x.bit != 0, !on, attest.ReasonGuestPolicy, x.check, seen, "off", "start the TD without this attribute")
	}
	if unknown := o.Forbid &^ (PKS | KL | Perfmon | LASS); unknown != 0 {
		a.Check(false, attest.ReasonPolicy, "forbid", fmt.Sprintf("demand %#x", uint64(unknown)), "attributes that can be forbidden", "the relying party", "correct the options of the verifier")
	}
}
