// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"errors"
	"fmt"

	"github.com/enarx/enarx-go/attest/evidencebundle"
)

const formatBundle = "evidence-bundle"

// findBundle takes the evidence out of an evidence bundle, with the collateral
// beside it. What was asked and answered when the bundle was made is not read:
// who appraises this has demands and a time of his own. Replaying a bundle is
// for package replay.
func findBundle(b []byte, depth int) (*Found, error) {
	bundle, err := evidencebundle.Open(b)
	if errors.Is(err, evidencebundle.ErrNotBundle) {
		return nil, nil
	}
	if err != nil {
		return nil, malformed(formatBundle, "%w", err)
	}
	f, err := find(bundle.Evidence.Value, depth+1)
	if err != nil {
		return nil, fmt.Errorf("the evidence in an evidence bundle: %w", err)
	}
	for i := range f.Pieces {
		f.Pieces[i].Collateral = append(f.Pieces[i].Collateral[:len(f.Pieces[i].Collateral):len(f.Pieces[i].Collateral)], bundle.Collateral...)
	}
	f.wrapped(formatBundle, "the evidence bundle")
	f.notRead("request, policy, reference values and verdict of the bundle", "they decide nothing; enarx evidence replay holds them against a new appraisal")
	return f, nil
}
