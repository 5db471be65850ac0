// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest/collateral"
)

func newCollateralListCmd(a *app) *cobra.Command {
	var cache string
	var within int
	var asJSON bool
	c := &cobra.Command{
		Use: "list [flags]", Short: "Show what is kept, and what ends soon",
		Long: `Show every item that is kept, with its size, where it came from, and how long it is
valid. What has ended or ends soon is announced on standard error. Nobody is asked.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.ui.jsonErrors = asJSON
			return a.listCollateral(cache, within, asJSON)
		},
	}
	cacheFlag(c, &cache)
	addWithin(c, &within)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) listCollateral(dir string, days int, asJSON bool) error {
	within, err := daysFlag(days)
	if err != nil {
		return err
	}
	cache, err := a.openCollateral(dir)
	if err != nil {
		return err
	}
	entries, problems, err := cache.List()
	if err != nil {
		return fail(exitInternal, "", err)
	}
	now := collateralNow()
	infos := []collateralInfo{}
	for _, e := range entries {
		i := collateralInfo{Name: e.Item.Name(), Item: e.Item.String()}
		i.fill(e, now, within)
		infos = append(infos, i)
	}
	for _, p := range problems {
		infos = append(infos, collateralInfo{Name: p.Name, Item: p.Name, State: "damaged", Error: p.Err.Error()})
	}
	if asJSON {
		return a.writeJSON(map[string]any{"items": infos})
	}
	if err := a.emit("%s", collateralTable(infos)); err != nil {
		return err
	}
	for _, e := range entries {
		if s := e.Announcement(now, within); s != "" {
			a.ui.warningf("%s", s)
		}
	}
	for _, p := range problems {
		a.ui.warningf("%s is damaged (%v); it is fetched anew when it is needed", p.Name, p.Err)
	}
	return nil
}

func collateralTable(infos []collateralInfo) string {
	if len(infos) == 0 {
		return ""
	}
	wide := len("ITEM")
	for _, i := range infos {
		wide = max(wide, len([]rune(oneLine(i.Item))))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %9s  %-10s  %5s  %-13s  %s\n", wide, "ITEM", "SIZE", "UNTIL", "DAYS", "STATE", "FROM")
	for _, i := range infos {
		until, days := "-", "-"
		if i.DaysLeft != nil {
			until, days = i.ValidUntil[:10], fmt.Sprint(*i.DaysLeft)
		}
		from := i.URL
		if u, err := url.Parse(i.URL); err == nil && u.Host != "" {
			from = u.Host
		}
		line := fmt.Sprintf("%-*s  %9s  %-10s  %5s  %-13s  %s", wide, oneLine(i.Item), formatBytes(uint64(i.Size)), until, days, i.State, oneLine(from))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// counted words how many of results came to an outcome.
func counted(results []collateral.Result) string {
	n := map[collateral.Outcome]int{}
	for _, r := range results {
		n[r.Outcome]++
	}
	var parts []string
	for _, o := range []struct {
		outcome collateral.Outcome
		word    string
	}{{collateral.Fetched, "imported"}, {collateral.Unchanged, "already there"}, {collateral.Kept, "kept, what is there being better"}, {collateral.Failed, "refused"}} {
		if n[o.outcome] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o.outcome], o.word))
		}
	}
	if len(parts) == 0 {
		return "nothing in it"
	}
	return strings.Join(parts, ", ")
}
