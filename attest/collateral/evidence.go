// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// rounds bounds how often the needs of one piece of evidence are computed: once
// to find its certificate, once with it.
const rounds = 3

// For gives what the verification of ev needs besides ev and have, as
// [item.Needed] computes it: one result per need, also where it failed. The
// collateral is that of all results that have an entry.
func (c *Cache) For(ctx context.Context, ev attest.Evidence, have attest.Collateral, h item.Hint, mode Mode) (attest.Collateral, []Result, error) {
	var results []Result
	done := map[item.Item]bool{}
	for range rounds {
		needs, err := item.Needed(ev, have, h)
		if err != nil {
			if len(results) > 0 {
				break // the certificate is there; what it says of the rest cannot be read
			}
			return nil, nil, err
		}
		needs = slices.DeleteFunc(needs, func(n item.Need) bool {
			return slices.ContainsFunc(n.Any, func(it item.Item) bool { return done[it] })
		})
		if len(needs) == 0 {
			break
		}
		found := c.needs(ctx, needs, mode)
		for i, r := range found {
			for _, it := range needs[i].Any {
				done[it] = true
			}
			if r.Entry != nil {
				have = append(have[:len(have):len(have)], r.Entry.Parts...)
			}
		}
		results = append(results, found...)
	}
	var col attest.Collateral
	for _, r := range results {
		if r.Entry != nil {
			col = append(col, r.Entry.Parts...)
		}
	}
	return col, results, nil
}

// All gets several needs, a few at a time.
func (c *Cache) All(ctx context.Context, needs []item.Need, mode Mode) []Result {
	return c.needs(ctx, needs, mode)
}

// abreast is how many items are asked for at once: those of one platform come
// in one round trip, and a service is not flooded.
const abreast = 4

func (c *Cache) needs(ctx context.Context, needs []item.Need, mode Mode) []Result {
	results := make([]Result, len(needs))
	slots := make(chan struct{}, abreast)
	var wg sync.WaitGroup
	for i, n := range needs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = c.need(ctx, n, mode)
		})
	}
	wg.Wait()
	return results
}

// need gets the first of several items that exists.
func (c *Cache) need(ctx context.Context, n item.Need, mode Mode) Result {
	if len(n.Any) > 1 {
		// What is there already needs no asking around.
		for _, it := range n.Any {
			if r := c.Get(ctx, it, Offline); r.Outcome == Present {
				r.Why = n.Why
				return r
			}
		}
	}
	var errs []error
	for _, it := range n.Any {
		r := c.Get(ctx, it, mode)
		r.Why = n.Why
		var missing *NotFoundError
		if r.Outcome != Failed || len(n.Any) == 1 || !errors.As(r.Err, &missing) {
			return r
		}
		errs = append(errs, r.Err)
	}
	if len(errs) == 0 {
		return Result{Outcome: Failed, Err: fmt.Errorf("nothing that could be asked for"), Why: n.Why}
	}
	return Result{Item: n.Any[0], Outcome: Failed, Err: errors.Join(errs...), Why: n.Why}
}
