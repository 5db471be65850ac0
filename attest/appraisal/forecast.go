// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"errors"
	"slices"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// maxEvents bounds the times of one forecast; each costs two appraisals. A
// machine has some twenty: its certificates, lists and documents, and the
// rules of the policy.
const maxEvents = 1024

// Forecast is what [Appraise] will say of one file, with the same collateral
// and policy, from one time to another.
type Forecast struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Now is the result at From.
	Now *Result `json:"-"`
	// Changes are all times after From at which a check begins to fail or
	// to pass, in order.
	Changes []Change `json:"changes"`
	// Refused is the first time, From or later, at which the file is
	// refused; nil if it is accepted throughout.
	Refused *time.Time `json:"refused,omitempty"`
}

// Change is one time at which the verdict becomes another.
type Change struct {
	At       time.Time     `json:"at"`
	Accepted bool          `json:"accepted"`
	Reason   attest.Reason `json:"reason,omitempty"`
	// Fails are the rows that fail from this time on and did not before,
	// Warns those that are a warning, and Mended the checks that fail no
	// more.
	Fails  attest.Verdict `json:"fails,omitempty"`
	Warns  attest.Verdict `json:"warns,omitempty"`
	Mended []string       `json:"mended,omitempty"`
}

// Foretell appraises r again at every time after r.At and not after until at
// which something ends or begins: certificates, revocation lists, TCB info and
// QE identity, the rules of the policy. So it says by construction what
// [Appraise] will say then. What it cannot know is what vendors will publish
// by then.
func (r Request) Foretell(until time.Time) (*Forecast, error) {
	if r.opened == nil {
		r.Prepare()
	}
	now, err := Appraise(r)
	if err != nil {
		return nil, err
	}
	until = until.UTC().Truncate(time.Second)
	if until.Before(now.At) {
		return nil, errors.New("appraisal: the forecast ends before it begins")
	}
	f := &Forecast{From: now.At, Until: until, Now: now, Changes: []Change{}}
	if !now.Accepted {
		f.Refused = &f.From
	}
	last := now
	// What is chosen can be other collateral at another time, and with it
	// come other dates: they are collected on the way.
	pending := times{until.Unix(): true}
	for range maxEvents {
		pending.add(last, r.Policy.Dates(), until)
		at, ok := pending.next(last.At)
		if !ok {
			return f, nil
		}
		r.At = at
		res, err := Appraise(r)
		if err != nil {
			return nil, err
		}
		if c, changed := compare(last, res); changed {
			f.Changes = append(f.Changes, c)
		}
		if !res.Accepted && f.Refused == nil {
			f.Refused = &res.At
		}
		last = res
	}
	return nil, errors.New("appraisal: too many dates in collateral and policy for one forecast; ask about less time")
}

// times are the seconds at which to appraise again.
type times map[int64]bool

// add puts every date of a result in, and the second after it: what is valid
// to a second is no more at the next.
func (t times) add(res *Result, policy []time.Time, until time.Time) {
	dates := append(slices.Clone(policy), res.dates...)
	for _, p := range res.Pieces {
		dates = append(dates, p.dates...)
	}
	for _, d := range dates {
		for _, at := range []int64{d.Unix(), d.Unix() + 1} {
			if at > res.At.Unix() && at <= until.Unix() {
				t[at] = true
			}
		}
	}
}

// next is the first time after at.
func (t times) next(at time.Time) (time.Time, bool) {
	first, ok := int64(0), false
	for s := range t {
		if s > at.Unix() && (!ok || s < first) {
			first, ok = s, true
		}
	}
	return time.Unix(first, 0).UTC(), ok
}

// compare says what is other in b than in a.
func compare(a, b *Result) (Change, bool) {
	c := Change{At: b.At, Accepted: b.Accepted, Reason: b.Reason}
	before, after := worst(a.Rows), worst(b.Rows)
	for _, r := range b.Rows {
		switch was := before[key(r)]; {
		case r.Outcome == was:
		case r.Outcome == attest.Fail:
			c.Fails = append(c.Fails, r)
		case r.Outcome == attest.Warn && was != attest.Fail:
			c.Warns = append(c.Warns, r)
		}
	}
	for _, r := range a.Rows {
		again := slices.ContainsFunc(b.Rows, func(x attest.Row) bool { return x.Check == r.Check && x.Outcome == attest.Fail })
		if r.Outcome == attest.Fail && after[key(r)] != attest.Fail && !again && !slices.Contains(c.Mended, r.Check) {
			c.Mended = append(c.Mended, r.Check)
		}
	}
	return c, a.Accepted != b.Accepted || len(c.Fails)+len(c.Warns)+len(c.Mended) > 0
}

// key tells rows apart: a check that fails for another reason is another
// failure.
func key(r attest.Row) string { return r.Check + "\x00" + string(r.Reason) }

func worst(v attest.Verdict) map[string]attest.Outcome {
	m := map[string]attest.Outcome{}
	for _, r := range v {
		if m[key(r)] != attest.Fail {
			m[key(r)] = r.Outcome
		}
	}
	return m
}

// With appraises r with other collateral in the place of r's own, at the first
// time from r.At on at which all of it is in force that the file needs.
func (r Request) With(next attest.Collateral) (*Result, error) {
	r.Collateral = next
	r.Prepare()
	for range maxEvents {
		res, err := Appraise(r)
		if err != nil {
			return nil, err
		}
		latest := r.At
		for _, p := range res.Pieces {
			for _, x := range open(p.Collateral, true) {
				if begin := x.begins(); begin.After(latest) {
					latest = begin
				}
			}
		}
		if !latest.After(res.At) {
			return res, nil
		}
		r.At = latest.Truncate(time.Second)
		if r.At.Before(latest) {
			r.At = r.At.Add(time.Second)
		}
	}
	return nil, errors.New("appraisal: the collateral has no time at which all of it is in force")
}

// begins is when an entry comes into force, by its own word.
func (x *item) begins() time.Time {
	switch {
	case x.list != nil:
		return x.list.ThisUpdate
	case x.doc != nil:
		return x.doc.from
	}
	return time.Time{}
}
