// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import "testing"

// TestNoWeakerPlanAfterAStronger holds a loader to the isolation that worked.
func TestNoWeakerPlanAfterAStronger(t *testing.T) {
	l := New()
	n := need{asNobody: true}
	if len(l.choose(n)) < 2 && l.host.MountAPI {
		t.Fatal("only one plan to begin with: this test proves nothing")
	}
	strong := l.choose(n)[0]
	l.worked(n, strong)
	if got := l.choose(n); len(got) != 1 || got[0] != strong {
		t.Errorf("plans after one has worked: %+v", got)
	}
}

func TestPlansGoFromStrongToWeak(t *testing.T) {
	for _, euid := range []int{0, 1000} {
		ps := plans(euid, true)
		if !ps[0].userNS || !ps[0].namespaces || ps[len(ps)-1].namespaces {
			t.Errorf("user %d: %+v", euid, ps)
		}
		for _, p := range ps {
			if euid != 0 && (p.user != euid || p.namespaces && !p.userNS) {
				t.Errorf("an ordinary user cannot do %+v", p)
			}
			if p.dropTo() != 0 && (euid != 0 || p.userNS) {
				t.Errorf("%+v drops to %d", p, p.dropTo())
			}
		}
	}
}
