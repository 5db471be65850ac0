// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest/collateral"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

type fetchFlags struct {
	sourceFlags
	cache      string
	products   []string
	fmspcs     []string
	evaluation string
	timeout    time.Duration
	refresh    bool
	within     int
	json       bool
}

func newCollateralFetchCmd(a *app) *cobra.Command {
	var f fetchFlags
	c := &cobra.Command{
		Use: "fetch [flags] [EVIDENCE…]", Short: "Fetch what evidence needs, or what is named",
		Long: `Fetch what the verification of each EVIDENCE needs: computed from the evidence, each
item with its reason. Or name product lines and platform models.

What is there and still good is not asked for again before a day has passed (--refresh
asks for it now); what never changes, such as a VCEK, is fetched once. An answer that is
damaged, not signed by the vendor, about something else, older or no longer valid changes
nothing: what is there stays, and the command says which rule held the answer back.

Exit code 0 means that everything needed is there and valid, also where a refresh failed
(a warning says so); 126 that something could not be had, 125 that it could only be had
in a form that no vendor has signed.

Proxies of the environment (HTTPS_PROXY, NO_PROXY) are used.`,
		Example: `  enarx collateral fetch report.bin
  enarx collateral fetch --product Genoa --fmspc tdx:90c06f000000
  enarx collateral fetch --pcs https://pccs.example:8081 --ca pccs.pem quote.bin`,
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = f.json
			return a.fetchCollateral(c.Context(), args, &f)
		},
	}
	fs := c.Flags()
	fs.StringArrayVar(&f.products, "product", nil, "fetch chain and revocation list of this `LINE`: Milan, Genoa, Bergamo, Siena, Turin (repeatable)")
	fs.StringArrayVar(&f.fmspcs, "fmspc", nil, "fetch what this platform `MODEL` needs: sgx:FMSPC, tdx:FMSPC, or FMSPC for both (repeatable)")
	fs.StringVar(&f.evaluation, "evaluation", "", "Intel's data set: `early`, or its number (default: the standard one)")
	fs.DurationVar(&f.timeout, "timeout", 2*time.Minute, "give up after this `TIME` altogether")
	fs.BoolVar(&f.refresh, "refresh", false, "ask for everything that can change, however fresh it is")
	addWithin(c, &f.within)
	fs.BoolVar(&f.json, "json", false, "print JSON")
	f.sourceFlags.add(c)
	cacheFlag(c, &f.cache)
	return c
}

func (a *app) fetchCollateral(ctx context.Context, files []string, f *fetchFlags) error {
	within, err := daysFlag(f.within)
	if err != nil {
		return err
	}
	if f.timeout <= 0 {
		return failf(exitUsage, "write it as 30s or 2m", "--timeout %v: expected a time to wait", f.timeout)
	}
	needs, hint, err := f.named()
	if err != nil {
		return err
	}
	pieces, err := a.readPieces(files)
	if err != nil {
		return err
	}
	if len(needs)+len(pieces) == 0 {
		return failf(exitUsage, "name evidence, --product or --fmspc", "there is nothing to fetch for")
	}
	sources, err := f.sources()
	if err != nil {
		return err
	}
	cache, err := a.openCollateral(f.cache, sources...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("not done within --timeout %v", f.timeout))
	defer cancel()
	mode := collateral.WhenDue
	if f.refresh {
		mode = collateral.Always
	}
	fetched := &fetchResults{at: collateralNow(), within: within}
	fetched.add(cache.All(ctx, needs, mode))
	for _, p := range pieces {
		_, results, err := cache.For(ctx, p.evidence, p.collateral, hint, mode)
		if errors.Is(err, item.ErrOther) {
			a.ui.notef("%s: %v", p.file, err)
			continue
		} else if err != nil {
			return fail(exitUsage, "", fmt.Errorf("%s: %w", p.file, err))
		}
		fetched.add(results)
	}
	return a.showFetched(fetched, f.json)
}

// named are the needs that flags name, and the hint for evidence.
func (f *fetchFlags) named() ([]item.Need, item.Hint, error) {
	hint := item.Hint{Evaluation: f.evaluation}
	if probe := (item.Item{Kind: item.QEIdentity, TEE: "tdx", Evaluation: f.evaluation}); probe.Valid() != nil {
		return nil, hint, failf(exitUsage, "write early, or the number as Intel lists it", "--evaluation %q is no data set", f.evaluation)
	}
	var needs []item.Need
	for _, p := range f.products {
		line, err := item.LineNamed(p)
		if err != nil {
			return nil, hint, fail(exitUsage, "", fmt.Errorf("--product: %w", err))
		}
		hint.Line = line
		needs = append(needs, item.LineNeeds(line)...)
	}
	if len(f.products) > 1 {
		hint.Line = "" // which of them a report is of is then for the report to say
	}
	for _, m := range f.fmspcs {
		tees, fmspc := []string{"sgx", "tdx"}, strings.ToLower(m)
		if tee, rest, ok := strings.Cut(fmspc, ":"); ok {
			tees, fmspc = []string{tee}, rest
		}
		for _, tee := range tees {
			if err := (item.Item{Kind: item.TCBInfo, TEE: tee, FMSPC: fmspc}).Valid(); err != nil {
				return nil, hint, fail(exitUsage, "write it as tdx:90c06f000000", fmt.Errorf("--fmspc %s: %w", m, err))
			}
			needs = append(needs, item.IntelNeeds(tee, fmspc, "", f.evaluation)...)
		}
	}
	return unique(needs), hint, nil
}

// unique leaves out what is needed twice.
func unique(needs []item.Need) []item.Need {
	seen := map[item.Item]bool{}
	var out []item.Need
	for _, n := range needs {
		if !seen[n.Any[0]] {
			seen[n.Any[0]] = true
			out = append(out, n)
		}
	}
	return out
}

// fetchResults are the results of one command, one for each item.
type fetchResults struct {
	at     time.Time
	within time.Duration
	list   []collateral.Result
}

func (r *fetchResults) add(results []collateral.Result) {
next:
	for _, n := range results {
		for i := range r.list {
			if r.list[i].Item == n.Item {
				if r.list[i].Outcome == collateral.Failed {
					r.list[i] = n
				}
				continue next
			}
		}
		r.list = append(r.list, n)
	}
}

func (r *fetchResults) infos() []collateralInfo {
	infos := []collateralInfo{}
	for _, n := range r.list {
		i := collateralInfo{Name: n.Item.Name(), Item: n.Item.String(), Outcome: string(n.Outcome), Why: n.Why}
		if n.Entry != nil {
			i.fill(n.Entry, r.at, r.within)
		}
		if n.Err != nil {
			i.Error = n.Err.Error()
			var refused *item.RefusedError
			if errors.As(n.Err, &refused) {
				i.Rule = string(refused.Rule)
			}
		}
		infos = append(infos, i)
	}
	return infos
}

func (a *app) showFetched(r *fetchResults, asJSON bool) error {
	infos := r.infos()
	if asJSON {
		if err := a.writeJSON(map[string]any{"items": infos}); err != nil {
			return err
		}
		return r.err()
	}
	for _, i := range infos {
		line := fmt.Sprintf("%-9s  %s", i.Outcome, i.Item)
		if i.DaysLeft != nil {
			line += fmt.Sprintf(", valid until %s", i.ValidUntil[:10])
		}
		if i.Why != "" && i.Outcome != string(collateral.Present) {
			line += ": " + i.Why
		}
		if err := a.emit("%s\n", oneLine(line)); err != nil {
			return err
		}
	}
	for _, n := range r.list {
		if n.Outcome == collateral.Kept {
			a.warnLines(fmt.Sprintf("%v was not refreshed and what is there stays", n.Item), n.Err)
		}
		if n.Entry != nil && n.Outcome != collateral.Failed {
			if s := n.Entry.Announcement(r.at, r.within); s != "" {
				a.ui.warningf("%s", s)
			}
		}
	}
	return r.err()
}

// warnLines words an error that may have several causes.
func (a *app) warnLines(what string, err error) {
	for line := range strings.Lines(err.Error()) {
		a.ui.warningf("%s: %s", what, strings.TrimRight(line, "\n"))
	}
}

// err is what the whole command ends with.
func (r *fetchResults) err() error {
	code, hint := exitAgent, ""
	var errs []error
	for _, n := range r.list {
		if n.Outcome != collateral.Failed {
			continue
		}
		errs = append(errs, fmt.Errorf("%v: %w", n.Item, n.Err))
		var refused *item.RefusedError
		var missing *collateral.NotFoundError
		var status *collateral.StatusError
		switch {
		case errors.As(n.Err, &refused):
			switch refused.Rule {
			case item.RuleForm, item.RuleProof, item.RuleSubject:
				code = exitAttest
			}
			hint = "ask another mirror, or the vendor itself"
		case hint != "":
		case errors.As(n.Err, &status) && status.RetryAfter > 0:
			hint = "ask again later; what was fetched is kept and not asked for again"
		case !errors.As(n.Err, &missing):
			hint = "check the network and HTTPS_PROXY; behind an air gap, use enarx collateral import"
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fail(code, hint, errors.Join(errs...))
}
