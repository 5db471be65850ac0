// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// flagDebug is the attribute flag of an enclave that lets the host read and
// write its memory.
const flagDebug = 1 << 1

// qeIdentity is what Intel's quoting enclave must look like (PCS API v3 and
// v4: version 2).
type qeIdentity struct {
	ID         string      `json:"id"`
	Version    int         `json:"version"`
	Issued     time.Time   `json:"issueDate"`
	NextUpdate time.Time   `json:"nextUpdate"`
	Evaluation *uint32     `json:"tcbEvaluationDataNumber"`
	MiscSelect hexBytes    `json:"miscselect"`
	MiscMask   hexBytes    `json:"miscselectMask"`
	Attributes hexBytes    `json:"attributes"`
	AttrMask   hexBytes    `json:"attributesMask"`
	MRSigner   hexBytes    `json:"mrsigner"`
	ISVProdID  *uint16     `json:"isvprodid"`
	Levels     []partLevel `json:"tcbLevels"`
}

// parseQEIdentity reads the body of an identity whose signature has been
// checked.
func parseQEIdentity(body []byte, tee TEE) (*qeIdentity, error) {
	q := &qeIdentity{}
	if err := decodeQEIdentity(body, q); err != nil {
		return nil, fmt.Errorf("QE identity is not of the expected form: %w", err)
	}
	want := "QE"
	if tee == TDX {
		want = "TD_QE"
	}
	switch {
	case q.Version == 2 && q.ID != want:
		return nil, fault.New(attest.ReasonCollateralForeign, "QE identity of id %s, expected %s", shown(q.ID), want)
	case q.Version != 2:
		return nil, fmt.Errorf("QE identity version %d of id %s, expected version 2 of %s", q.Version, shown(q.ID), want)
	case len(q.MiscSelect) != 4 || len(q.MiscMask) != 4 || len(q.Attributes) != 16 || len(q.AttrMask) != 16 ||
		len(q.MRSigner) != 32 || q.ISVProdID == nil || q.Evaluation == nil:
		return nil, fmt.Errorf("QE identity without MISCSELECT, attributes, MRSIGNER, ISVPRODID or evaluation number")
	}
	if err := checkPartLevels(q.Levels); err != nil {
		return nil, fmt.Errorf("QE identity: %w", err)
	}
	return q, nil
}

// match compares a quoting enclave's report with the identity.
func (q *qeIdentity) match(e *EnclaveReport) error {
	switch {
	case !bytes.Equal(e.MRSigner[:], q.MRSigner):
		return fmt.Errorf("MRSIGNER %s, expected %s", hex.EncodeToString(e.MRSigner[:]), hex.EncodeToString(q.MRSigner))
	case e.ISVProdID != *q.ISVProdID:
		return fmt.Errorf("ISVPRODID %d, expected %d", e.ISVProdID, *q.ISVProdID)
	case !maskedEqual(e.MiscSelect[:], q.MiscMask, q.MiscSelect):
		return fmt.Errorf("MISCSELECT %s, expected %s under mask %s", hex.EncodeToString(e.MiscSelect[:]), hex.EncodeToString(q.MiscSelect), hex.EncodeToString(q.MiscMask))
	case !maskedEqual(e.Attributes[:], q.AttrMask, q.Attributes):
		return fmt.Errorf("attributes %s, expected %s under mask %s", hex.EncodeToString(e.Attributes[:]), hex.EncodeToString(q.Attributes), hex.EncodeToString(q.AttrMask))
	case e.Flags()&flagDebug != 0:
		return fmt.Errorf("a quoting enclave in debug mode")
	}
	return nil
}

// level finds the first level that svn reaches; levels stand in falling order.
func level(levels []partLevel, svn uint16) (Status, []string) {
	for _, l := range levels {
		if svn >= *l.TCB.ISVSVN {
			return l.Status, l.Advisories
		}
	}
	return NotSupported, nil
}
