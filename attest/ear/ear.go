// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package ear

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
)

// Profile is the EAT profile of the claims.
const Profile = "tag:github.com,2023:veraison/ear"

// MediaType is that of signed results, MediaTypeUnsigned that of bare claims
// (RFC 9782).
const (
	MediaType         = `application/eat+jwt; eat_profile="` + Profile + `"`
	MediaTypeUnsigned = `application/eat-ucs+json; eat_profile="` + Profile + `"`
)

// Developer is who answers for this verifier, if [Options] name nobody.
const Developer = "https://github.com/enarx/enarx-go"

// Options say who the verifier is.
type Options struct {
	// Developer is the organisation responsible for the build; empty means
	// this project.
	Developer string
	// Build names the build, such as "enarx 1.2.3".
	Build string
}

// Result is an attestation result: the claims of the draft, and of each
// submodule our own under ear.enarx.appraisal.
type Result struct {
	Profile    string               `json:"eat_profile"`
	IssuedAt   int64                `json:"iat"`
	VerifierID VerifierID           `json:"ear.verifier-id"`
	Submods    map[string]Appraisal `json:"submods"`
}

// VerifierID says who the verifier is.
type VerifierID struct {
	Developer string `json:"developer"`
	Build     string `json:"build"`
}

// Appraisal is the result of one piece of evidence.
type Appraisal struct {
	Status   string   `json:"ear.status"`
	Vector   Vector   `json:"ear.trustworthiness-vector"`
	PolicyID string   `json:"ear.appraisal-policy-id,omitempty"`
	Details  *Details `json:"ear.enarx.appraisal"`
}

// Details are our extension: what the vector was drawn from.
type Details struct {
	Platform string        `json:"platform,omitempty"`
	Accepted bool          `json:"accepted"`
	Reason   attest.Reason `json:"reason,omitempty"`
	// Evidence is the SHA-256 digest of the evidence, hexadecimal.
	Evidence string `json:"evidence-sha-256,omitempty"`
	// NotChecked are the checks that were skipped.
	NotChecked []string       `json:"not-checked,omitempty"`
	Rows       attest.Verdict `json:"rows"`
}

// New words res as an attestation result.
func New(res *appraisal.Result, o Options) (*Result, error) {
	if res == nil || len(res.Rows) == 0 {
		return nil, fmt.Errorf("ear: a result without rows says nothing")
	}
	if o.Developer == "" {
		o.Developer = Developer
	}
	if o.Build == "" {
		return nil, fmt.Errorf("ear: the verifier's build has no name")
	}
	out := &Result{Profile: Profile, IssuedAt: res.At.Unix(), VerifierID: VerifierID(o), Submods: map[string]Appraisal{}}
	if len(res.Pieces) == 0 {
		out.Submods["evidence"] = appraised(res, "", res.Rows, attest.Evidence{}, subject{rows: res.Rows})
		return out, nil
	}
	around := around(res)
	for i, p := range res.Pieces {
		name := p.Platform
		if len(res.Pieces) > 1 {
			name = fmt.Sprintf("%d.%s", i+1, name)
		}
		rows := append(append(attest.Verdict{}, p.Rows...), around...)
		s := subject{
			platform: p.Platform, simulated: p.Platform == attest.PlatformSim, vouched: p.Vouched, accepted: rows.OK() && p.Claims.Verified(),
			rows: rows,
		}
		out.Submods[name] = appraised(res, p.Platform, rows, p.Evidence, s)
	}
	return out, nil
}

// around are the rows that are about the file and not about one piece.
func around(res *appraisal.Result) attest.Verdict {
	n := 0
	for _, p := range res.Pieces {
		n += len(p.Rows)
	}
	first := res.Wrapper
	last := first + n
	if last > len(res.Rows) {
		return res.Rows
	}
	return append(append(attest.Verdict{}, res.Rows[:first]...), res.Rows[last:]...)
}

func appraised(res *appraisal.Result, platform string, rows attest.Verdict, ev attest.Evidence, s subject) Appraisal {
	v := s.vector()
	a := Appraisal{Status: v.Tier(), Vector: v, Details: &Details{Platform: platform, Accepted: s.accepted, Reason: rows.Reason(), Rows: rows}}
	if res.Policy != nil {
		a.PolicyID = "sha-256:" + hex.EncodeToString(res.Policy[:])
	}
	if ev.Value != nil {
		sum := sha256.Sum256(ev.Value)
		a.Details.Evidence = hex.EncodeToString(sum[:])
	}
	for _, r := range rows {
		if r.Outcome == attest.Skipped {
			a.Details.NotChecked = append(a.Details.NotChecked, r.Check)
		}
	}
	return a
}

// Encode gives the claims of [New] as JSON, unsigned ([MediaTypeUnsigned]). The
// same result has the same bytes.
func Encode(res *appraisal.Result, o Options) ([]byte, error) {
	r, err := New(res, o)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("ear: %w", err)
	}
	return b.Bytes(), nil
}
