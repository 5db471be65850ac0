// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sgx

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// Signer is who must have signed the enclave, beside its measurement.
type Signer struct {
	// MRSigner is SHA-256 of the modulus of the enclave's signing key.
	MRSigner [32]byte
	// ProductID is the ISVPRODID that the signer gave to the enclave.
	ProductID uint16
	// MinSVN is the lowest accepted ISVSVN.
	MinSVN uint16
}

// Options are what a relying party asks for beyond [attest.Expected]. The zero
// Options demand nothing of what depends on the enclave's makers. For each list,
// nil demands nothing and a list that is empty but not nil accepts nothing.
type Options struct {
	// Waive names expectations that need not be given; see [attest.Waiver].
	Waive attest.Waiver
	// Cache may be nil.
	Cache *Cache

	// Signer, if not nil, is demanded beside the measurement.
	Signer *Signer
	// ExtProductIDs and FamilyIDs are accepted values of ISVEXTPRODID and
	// ISVFAMILYID, and MinConfigSVN is the lowest accepted CONFIGSVN: fields
	// that only an enclave with KSS has, which a demand for one of them
	// therefore asks for as well.
	ExtProductIDs, FamilyIDs [][16]byte
	MinConfigSVN             uint16
	// XFRM, if not nil, is a mask of the extended CPU features that may be
	// on (bits as in XCR0).
	XFRM *uint64
	// MiscSelect, if not nil, is a mask of the bits of MISCSELECT that may
	// be set: what the hardware writes down when the enclave is left.
	MiscSelect *uint32
}

// clone keeps nothing that the caller can change.
func (o Options) clone() Options {
	if o.Signer != nil {
		s := *o.Signer
		o.Signer = &s
	}
	if o.XFRM != nil {
		mask := *o.XFRM
		o.XFRM = &mask
	}
	if o.MiscSelect != nil {
		mask := *o.MiscSelect
		o.MiscSelect = &mask
	}
	o.ExtProductIDs, o.FamilyIDs = slices.Clone(o.ExtProductIDs), slices.Clone(o.FamilyIDs)
	return o
}

func (o *Options) checkSigner(a *dcap.Appraisal, e *dcap.EnclaveReport) {
	seen := fmt.Sprintf("MRSIGNER %x, ISVPRODID %d, ISVSVN %d", e.MRSigner, e.ISVProdID, e.ISVSVN)
	var s Signer
	if o.Signer != nil {
		s = *o.Signer
	}
	a.Demand(o.Signer != nil, e.MRSigner == s.MRSigner && e.ISVProdID == s.ProductID && e.ISVSVN >= s.MinSVN, attest.ReasonSigner, "signer", seen,
		fmt.Sprintf("MRSIGNER %x, ISVPRODID %d, ISVSVN %d or higher", s.MRSigner, s.ProductID, s.MinSVN),
		"the enclave is of another signer, product or version than you accept")
}

// check makes the rows of all that can be demanded of an enclave and need not
// be.
func (o *Options) check(a *dcap.Appraisal, e *dcap.EnclaveReport) {
	kss := e.Flags()&flagKSS != 0
	const without = "; and KSS, without which the field means nothing"
	const other = "the enclave is not one that you accept; look at who signed and started it"
	a.Demand(o.ExtProductIDs != nil, kss && slices.Contains(o.ExtProductIDs, e.ISVExtProdID), attest.ReasonSigner, "ext-product-id",
		fmt.Sprintf("ISVEXTPRODID %x", e.ISVExtProdID), fmt.Sprintf("one of %d values", len(o.ExtProductIDs))+without, other)
	a.Demand(o.FamilyIDs != nil, kss && slices.Contains(o.FamilyIDs, e.ISVFamilyID), attest.ReasonSigner, "family-id",
		fmt.Sprintf("ISVFAMILYID %x", e.ISVFamilyID), fmt.Sprintf("one of %d values", len(o.FamilyIDs))+without, other)
	a.Demand(o.MinConfigSVN != 0, kss && e.ConfigSVN >= o.MinConfigSVN, attest.ReasonGuestPolicy, "config-svn",
		fmt.Sprintf("CONFIGSVN %d", e.ConfigSVN), fmt.Sprintf("at least %d", o.MinConfigSVN)+without, "start the enclave with a newer configuration")
	misc, miscMask := binary.LittleEndian.Uint32(e.MiscSelect[:]), uint32(0)
	if o.MiscSelect != nil {
		miscMask = *o.MiscSelect
	}
	a.Demand(o.MiscSelect != nil, misc&^miscMask == 0, attest.ReasonGuestPolicy, "miscselect", fmt.Sprintf("MISCSELECT %#x", misc), fmt.Sprintf("nothing beyond %#x", miscMask), other)
	xfrm, mask := binary.LittleEndian.Uint64(e.Attributes[8:]), uint64(0)
	if o.XFRM != nil {
		mask = *o.XFRM
	}
	a.Demand(o.XFRM != nil, xfrm&^mask == 0, attest.ReasonGuestPolicy, "xfrm", fmt.Sprintf("XFRM %#x", xfrm), fmt.Sprintf("nothing beyond %#x", mask),
		"the enclave has CPU features that you do not accept; sign it with fewer")
}
