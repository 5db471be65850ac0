// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"crypto/sha512"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
)

// A Keep that was claimed cannot pass for one that never was, nor for one that
// another owner claimed: its register cannot be taken back.
func TestAClaimInRTMR3CannotBeDenied(t *testing.T) {
	v := dcaptest.New(t)
	event := attest.ClaimEvent([32]byte{1}, []byte("channel key"))
	digest := sha512.Sum384(event)
	var claimed, twice [48]byte
	extend(&claimed, digest)
	twice = claimed
	extend(&twice, digest)
	for _, x := range []struct {
		name  string
		rtmr3 [48]byte
		claim *attest.ClaimState
		want  attest.Outcome
	}{
		{"empty", [48]byte{}, &attest.ClaimState{}, attest.Pass},
		{"claimed, passed off as empty", claimed, &attest.ClaimState{}, attest.Fail},
		{"claimed", claimed, &attest.ClaimState{Event: event}, attest.Pass},
		{"claimed by another", claimed, &attest.ClaimState{Event: attest.ClaimEvent([32]byte{2}, []byte("channel key"))}, attest.Fail},
		{"claimed over another channel", claimed, &attest.ClaimState{Event: attest.ClaimEvent([32]byte{1}, []byte("other key"))}, attest.Fail},
		{"claimed twice", twice, &attest.ClaimState{Event: event}, attest.Fail},
		{"not in hardware", [48]byte{}, &attest.ClaimState{Event: event}, attest.Warn},
		{"no Keep", claimed, nil, ""},
	} {
		set := v.Make(dcaptest.Spec{Body: func(b []byte) { copy(b[dcaptest.TDRTMR0+3*48:], x.rtmr3[:]) }})
		exp := expected()
		exp.Claim = x.claim
		c, verdict := under(v, Options{}).Verify(evidence(set.Quote), set.Collateral, exp, dcaptest.Made)
		if got := row(verdict, "claim").Outcome; got != x.want || (c == nil) != (x.want == attest.Fail) {
			t.Errorf("%s: %q, expected %q; claims %v; %v", x.name, got, x.want, c != nil, verdict.Err())
		}
	}
}
