// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// Options are for [Open].
type Options struct {
	// Dir is the directory of the cache; it is made if need be, for its owner
	// alone. Several processes may use it at once.
	Dir string
	// Sources are asked in order. None means that nothing is fetched.
	Sources []Source
	// Now is the clock against which items are held; nil means the system's.
	Now func() time.Time
	// MaxBytes bounds the cache; 0 means [DefaultMaxBytes].
	MaxBytes int64
	// Notice hears of what went on beside a result, such as a damaged item
	// that was set aside. nil hears nothing. It may be called by several
	// goroutines at once.
	Notice func(string)
}

// Cache keeps vendor data on disk and asks for it when it is missing or aged.
// It is safe for concurrent use.
type Cache struct {
	o       Options
	disk    *disk
	flights flights
}

// Open opens or makes a cache.
func Open(o Options) (*Cache, error) {
	if o.Dir == "" {
		return nil, fmt.Errorf("opening the cache: no directory is named")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	d, err := openDisk(o.Dir, o.MaxBytes)
	if err != nil {
		return nil, err
	}
	return &Cache{o: o, disk: d}, nil
}

// Mode says when a source is asked.
type Mode int

// The modes. An item that never changes is asked for only where it is missing
// or has ended, in each of them but Offline.
const (
	// WhenDue asks for what is missing, has ended, ends soon, or was not
	// confirmed for a day.
	WhenDue Mode = iota
	// Always asks for everything that can change.
	Always
	// Offline asks for nothing.
	Offline
)

// Outcome is what became of one item.
type Outcome string

// The outcomes.
const (
	Present   Outcome = "present"   // was there; nobody was asked
	Fetched   Outcome = "fetched"   // is new, or newer than what was there
	Unchanged Outcome = "unchanged" // was confirmed by a source
	Kept      Outcome = "kept"      // a refresh failed; what was there is still valid and stays
	Failed    Outcome = "failed"    // there is nothing that is valid
)

// Result is what became of one item.
type Result struct {
	Item    item.Item
	Outcome Outcome
	// Entry is the item, or nil. With Failed it may be one that has ended: it
	// is never thrown away.
	Entry *Entry
	// Err says what went wrong, for Kept and Failed.
	Err error
	// Why is why the item is needed, for people; empty where nobody asked.
	Why string
}

// Get gives one item: from the cache, or fetched, as mode says. The error is
// also in the result.
func (c *Cache) Get(ctx context.Context, it item.Item, mode Mode) Result {
	if err := it.Valid(); err != nil {
		return Result{Item: it, Outcome: Failed, Err: err}
	}
	have, err := c.proven(ctx, it)
	if err != nil {
		return Result{Item: it, Outcome: Failed, Err: err}
	}
	now := c.o.Now()
	valid := have != nil && have.State(now, 0) == Current
	switch {
	case mode == Offline && valid:
		return Result{Item: it, Outcome: Present, Entry: have}
	case mode == Offline && have == nil:
		return Result{Item: it, Outcome: Failed, Err: fmt.Errorf("%v is not in the cache, and no source is asked", it)}
	case mode == Offline:
		return Result{Item: it, Outcome: Failed, Entry: have, Err: errors.New(have.Announcement(now, 0))}
	case have != nil && !have.due(now) && (mode == WhenDue || it.Immutable()):
		return Result{Item: it, Outcome: Present, Entry: have}
	}
	return c.flights.do(ctx, it, func(ctx context.Context) Result { return c.refresh(ctx, it, have) })
}

// proven loads an item and checks it as if it had just come: what lies on disk
// may have been damaged, or written by an older program with other rules. What
// is wrong is set aside and counts as missing.
func (c *Cache) proven(ctx context.Context, it item.Item) (*Entry, error) {
	e, err := c.disk.load(it)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		var info *item.Info
		if info, err = item.Check(it, e.Parts); err == nil {
			e.Info = *info
			return e, nil
		}
	}
	var refused *item.RefusedError
	if !errors.Is(err, errDamaged) && !errors.As(err, &refused) {
		return nil, fmt.Errorf("reading %v from the cache: %w", it, err)
	}
	return nil, c.setAside(ctx, it, err)
}

// setAside quarantines an item, unless somebody has repaired it meanwhile.
func (c *Cache) setAside(ctx context.Context, it item.Item, why error) error {
	return c.disk.locked(ctx, func() error {
		if e, err := c.disk.load(it); err == nil {
			if _, err := item.Check(it, e.Parts); err == nil {
				return nil
			}
		} else if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		c.o.Notice(fmt.Sprintf("%v in the cache is not usable and was set aside: %v", it, why))
		return c.disk.quarantine(it.Name(), c.o.Now())
	})
}

// refresh asks the sources in order and takes the first good answer.
func (c *Cache) refresh(ctx context.Context, it item.Item, have *Entry) Result {
	if len(c.o.Sources) == 0 {
		return c.without(it, have, fmt.Errorf("%v: no source is configured", it))
	}
	var errs []error
	for _, s := range c.o.Sources {
		a, err := s.Get(ctx, it)
		if err == nil {
			var r Result
			if r, err = c.take(ctx, it, a); err == nil {
				return r
			}
		}
		if !errors.Is(err, ErrNotServed) || len(c.o.Sources) == 1 {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("no source has items of kind %s: %w", it.Kind, ErrNotServed))
	}
	return c.without(it, have, errors.Join(errs...))
}

// without is the result of a refresh that brought nothing.
func (c *Cache) without(it item.Item, have *Entry, err error) Result {
	switch {
	case have == nil:
		return Result{Item: it, Outcome: Failed, Err: err}
	case have.State(c.o.Now(), 0) == Current:
		return Result{Item: it, Outcome: Kept, Entry: have, Err: err}
	}
	return Result{Item: it, Outcome: Failed, Entry: have, Err: fmt.Errorf("%s; %w", have.Announcement(c.o.Now(), 0), err)}
}

// take checks an answer and puts it into the cache. Whatever is wrong with it,
// what is there stays.
func (c *Cache) take(ctx context.Context, it item.Item, a *Answer) (Result, error) {
	info, err := item.Check(it, a.Parts)
	if err != nil {
		return Result{}, fmt.Errorf("answer of %s not taken: %w", host(a.URL), err)
	}
	now := c.o.Now()
	if now.After(info.Until) {
		return Result{}, held(it, a, item.RuleEnded, "it ended on %s; a mirror that is not kept up gives such answers", stamp(info.Until))
	}
	e := &Entry{Item: it, Parts: a.Parts, URL: bounded(a.URL, maxText-8), Fetched: now, Checked: now, Info: *info}
	return c.replace(ctx, e, now, func(have *Entry) error {
		early := now.Before(info.From)
		if early && (have != nil && have.State(now, 0) == Current || info.From.Sub(now) > slack) {
			return held(it, a, item.RuleEarly, "it is valid from %s on; check this machine's clock", stamp(info.From))
		}
		return nil
	})
}

func held(it item.Item, a *Answer, r item.Rule, format string, args ...any) error {
	return fmt.Errorf("answer of %s not taken: %w", host(a.URL), &item.RefusedError{Item: it, Rule: r, Err: fmt.Errorf(format, args...)})
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// replace puts e, which was checked, in the place of what is there, unless that
// is newer or rule refuses. Both are asked with the lock held: another process
// may have stored something in the meantime.
func (c *Cache) replace(ctx context.Context, e *Entry, now time.Time, rule func(have *Entry) error) (Result, error) {
	var out Result
	err := c.disk.locked(ctx, func() error {
		have, err := c.disk.load(e.Item)
		if err == nil {
			var info *item.Info
			if info, err = item.Check(e.Item, have.Parts); err == nil {
				have.Info = *info
			}
		}
		if err != nil {
			have = nil
			if !errors.Is(err, fs.ErrNotExist) {
				c.o.Notice(fmt.Sprintf("%v in the cache is not usable and was set aside: %v", e.Item, err))
				if err := c.disk.quarantine(e.Item.Name(), now); err != nil {
					return fmt.Errorf("setting a damaged item aside: %w", err)
				}
			}
		}
		if err := rule(have); err != nil {
			return err
		}
		outcome := Fetched
		if have != nil {
			if sameParts(have.Parts, e.Parts) {
				e.URL, e.Fetched, outcome = have.URL, have.Fetched, Unchanged
				if have.Checked.After(e.Checked) && !have.Checked.After(now) {
					e.Checked = have.Checked
				}
			} else if older, why := e.Info.Older(&have.Info); older {
				return fmt.Errorf("answer of %s not taken: %w", host(e.URL), &item.RefusedError{Item: e.Item, Rule: item.RuleOlder, Err: errors.New(why)})
			}
		}
		out = Result{Item: e.Item, Outcome: outcome, Entry: e}
		var full *FullError
		if err := c.disk.store(e, now); errors.As(err, &full) {
			// The caller has what it asked for; only the next one has not.
			c.o.Notice(fmt.Sprintf("%v was fetched and not kept: %v", e.Item, err))
			return nil
		} else if err != nil {
			return err
		}
		return nil
	})
	return out, err
}

func sameParts(a, b attest.Collateral) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].MediaType != b[i].MediaType || string(a[i].Value) != string(b[i].Value) {
			return false
		}
	}
	return true
}

// Problem is an item that [Cache.List] could not read.
type Problem struct {
	Name string
	Err  error
}

// List gives all items, sorted by name, with the dates that they had when they
// were stored. Items that cannot be read are named and left where they are.
func (c *Cache) List() ([]*Entry, []Problem, error) {
	names, err := c.disk.names()
	if err != nil {
		return nil, nil, err
	}
	var list []*Entry
	var problems []Problem
	for _, name := range names {
		it, err := c.disk.itemNamed(name)
		var e *Entry
		if err == nil {
			e, err = c.disk.load(it)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // being made or removed
		case err != nil:
			problems = append(problems, Problem{name, err})
		default:
			list = append(list, e)
		}
	}
	return list, problems, nil
}
