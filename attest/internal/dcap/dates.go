// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// validity is the time in which one of the things that count is valid.
type validity struct {
	name     string
	from, to time.Time
	// ended and early are the reasons for a time beyond either end.
	ended, early attest.Reason
}

func certDates(name string, from, to time.Time) validity {
	return validity{name, from, to, attest.ReasonCertExpired, attest.ReasonCertNotYetValid}
}

func listDates(name string, from, to time.Time) validity {
	return validity{name, from, to, attest.ReasonListExpired, attest.ReasonListNotYetValid}
}

func documentDates(name string, from, to time.Time) validity {
	return validity{name, from, to, attest.ReasonCollateralExpired, attest.ReasonCollateralNotYetValid}
}

func (a *Appraisal) addCertDates(c *x509.Certificate) {
	a.validity = append(a.validity, certDates("the certificate of "+shown(c.Subject.CommonName), c.NotBefore, c.NotAfter))
}

// fresher says whether a thing valid from one time to another is to be
// preferred at a time: one that is current to one that was, that to one that
// will be, and of two such the later.
func fresher(at, from, to, otherFrom, otherTo time.Time) bool {
	rank := func(from, to time.Time) int {
		switch {
		case at.Before(from):
			return 0
		case at.After(to):
			return 1
		}
		return 2
	}
	if a, b := rank(from, to), rank(otherFrom, otherTo); a != b {
		return a > b
	}
	return from.After(otherFrom)
}

// checkDates holds everything that was used against the time of the appraisal.
func (a *Appraisal) checkDates() {
	const source = "time of the appraisal"
	want := "all valid at " + stamp(a.at)
	if len(a.validity) == 0 {
		a.Check(false, attest.ReasonUnchecked, "dates", "nothing proven that has dates", want, source, "see the rows before")
		return
	}
	for _, v := range a.validity {
		if a.at.Before(v.from) || a.at.After(v.to) {
			why := v.ended
			if a.at.Before(v.from) {
				why = v.early
			}
			a.Check(false, why, "dates", fmt.Sprintf("%s is valid from %s to %s", v.name, stamp(v.from), stamp(v.to)), want, source,
				"check this machine's clock; if it is right, get current collateral from Intel")
			return
		}
	}
	first := a.firstEnd()
	a.Check(true, "", "dates", fmt.Sprintf("all valid; the first to end is %s at %s", first.name, stamp(first.to)), want, source, "")
}

// firstEnd is what of all that was used ends first; there is something.
func (a *Appraisal) firstEnd() validity {
	first := a.validity[0]
	for _, v := range a.validity[1:] {
		if v.to.Before(first.to) {
			first = v
		}
	}
	return first
}
