// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/sha512"
	"fmt"
)

// WorkloadDataSize is how many bytes a workload has put into evidence, no more
// and no less: a SHA-512 digest of whatever it wants to prove.
const WorkloadDataSize = 64

// WorkloadReportData is the report data of evidence made at a workload's wish
// (SPEC.md, rule W1): SHA-512(domain of its own ‖ bundle digest ‖ owner-key hash
// ‖ data). The first two are the Keep's own, of the bundle that it runs and the
// owner it runs it for. Whatever data a workload chooses, the result is not a
// [ReportData] of anything, so it cannot pass for evidence about a session.
func WorkloadReportData(bundleDigest, ownerKeyHash [32]byte, data [WorkloadDataSize]byte) [64]byte {
	b := make([]byte, 0, 3*32+WorkloadDataSize)
	b = append(b, workloadDomain[:]...)
	b = append(b, bundleDigest[:]...)
	b = append(b, ownerKeyHash[:]...)
	b = append(b, data[:]...)
	return sha512.Sum512(b)
}

// workloadCollection is the type of the collection that a workload gets (RFC
// 9999, section 3.3).
const workloadCollection = "tag:github.com,2026:enarx/enarx-go/workload-evidence/1"

// EncodeWorkloadEvidence makes what a workload reads after it has asked for
// evidence (SPEC.md, rule W2): a CMW collection in deterministic CBOR, with the
// evidence under the label "evidence" and what the host stapled, if anything,
// as the collection "hints". It says nothing of bundle, owner and data: whoever
// checks it brings those. It has at most MaxMessage bytes; hints that do not
// fit, or break the rules of M1, are left out.
func EncodeWorkloadEvidence(ev Evidence, hints Collateral) ([]byte, error) {
	if err := checkRecord("evidence", ev, MaxEvidence); err != nil {
		return nil, err
	}
	if ev.MediaType == MediaTypeNone || len(ev.Value) == 0 {
		return nil, fmt.Errorf("attest: workload evidence: %d bytes of type %s, expected evidence", len(ev.Value), ev.MediaType)
	}
	c := map[string]any{
		"__cmwc_t": workloadCollection,
		"evidence": wireRecord{Type: ev.MediaType, Value: ev.Value, Ind: indEvidence},
	}
	list, room := map[uint64]wireRecord{}, MaxMessage-len(ev.Value)-workloadOverhead
	for _, h := range hints {
		if len(h.Value) == 0 || checkRecord("hint", h, MaxHint) != nil || len(list) == MaxHints {
			continue // untrusted, and of no use to anybody
		}
		if room -= len(h.Value) + workloadOverhead; room < 0 {
			break
		}
		list[uint64(len(list))] = wireRecord{Type: h.MediaType, Value: h.Value, Ind: indEndorsements}
	}
	if len(list) > 0 {
		c["hints"] = list
	}
	b, err := encMode.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("attest: workload evidence: %w", err)
	}
	return b, nil
}
