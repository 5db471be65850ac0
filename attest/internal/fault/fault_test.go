// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

func TestReason(t *testing.T) {
	inner := New(attest.ReasonRevoked, "serial %d", 7)
	cause := errors.New("cause")
	for _, x := range []struct {
		err  error
		want attest.Reason
		text string
	}{
		{inner, attest.ReasonRevoked, "serial 7"},
		{fmt.Errorf("list: %w", inner), attest.ReasonRevoked, "list: serial 7"},
		{New(attest.ReasonChain, "leaf: %w", inner), attest.ReasonChain, "leaf: serial 7"},
		{errors.New("other"), attest.ReasonFormat, "other"},
		{New(attest.ReasonRoot, "%w", cause), attest.ReasonRoot, "cause"},
	} {
		if got := Reason(x.err, attest.ReasonFormat); got != x.want || x.err.Error() != x.text {
			t.Errorf("%v: %s, expected %s", x.err, got, x.want)
		}
	}
	if !errors.Is(New(attest.ReasonRoot, "%w", cause), cause) {
		t.Error("the cause is lost")
	}
}
