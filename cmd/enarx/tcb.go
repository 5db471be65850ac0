// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/evidence"
	"github.com/enarx/enarx-go/attest/snp"
	"github.com/enarx/enarx-go/attest/tdx"
)

// Limits of a forecast.
const (
	// maxFleet bounds the files of evidence of one forecast.
	maxFleet = 10000
	// defaultDays is how far a forecast looks without --until or --days.
	defaultDays = 90
	// maxDays is a hundred years.
	maxDays = 36525
	// fleetCache bounds the remembered signatures: a machine takes three.
	fleetCache = 1 << 14
)

type forecastFlags struct {
	verifyFlags
	until string
	days  int
	next  []string
}

func newTCBCmd(a *app) *cobra.Command {
	c := group("tcb", "Look ahead at firmware levels and what endorses them",
		`The trusted computing base of a machine ages: certificates and signed lists end, the
vendor finds a firmware level out of date, rules of your policy come into force.`)
	c.AddCommand(newForecastCmd(a))
	return c
}

func newForecastCmd(a *app) *cobra.Command {
	var f forecastFlags
	c := &cobra.Command{
		Use:   "forecast [flags] FILE|DIR...",
		Short: "Say which saved evidence will be refused, when and why",
		Long: `Appraise the saved evidence of a fleet at every time at which something ends or
begins: certificates, revocation lists, TCB info, and the rules of the policy. What it
says of a day is what enarx verify will say on that day, with the same collateral.

With --next-collateral, collateral that the vendor has published since, it also says what
becomes of each machine once that is in force.

Exit codes:
  0    nothing is refused, now or within the time asked about
  70   something is or will be refused
  121  the command line is wrong, or a file of it cannot be used`,
		Example: `  enarx tcb forecast --collateral saved/ --policy policy.toml --days 180 fleet/
  enarx tcb forecast --collateral saved/ --next-collateral fresh/ --json fleet/`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failf(exitUsage, "see "+c.CommandPath()+" --help", "FILE is missing: expected %s", c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = f.json
			if err := oneOf(c, "until", "days"); err != nil {
				return err
			}
			return a.forecast(args, &f)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.at, "at", "", "begin at this `TIME`, 2025-02-05 or 2025-02-05T12:00:00Z (default: now)")
	fs.StringVar(&f.until, "until", "", "look ahead to this `TIME`")
	fs.IntVar(&f.days, "days", defaultDays, "look `N` days ahead")
	fs.StringArrayVar(&f.next, "next-collateral", nil, "directory or file `PATH` of newer collateral, to compare with (repeatable)")
	f.addCommon(c)
	fs.BoolVar(&f.json, "json", false, "print JSON")
	return c
}

// machine is the forecast of one file.
type machine struct {
	File     string             `json:"file"`
	Platform string             `json:"platform"`
	Now      verdictInfo        `json:"now"`
	Refused  *time.Time         `json:"refused,omitempty"`
	Changes  []appraisal.Change `json:"changes"`
	Next     *nextInfo          `json:"next,omitempty"`

	now, next *appraisal.Result // for the text
}

type verdictInfo struct {
	Accepted bool          `json:"accepted"`
	Reason   attest.Reason `json:"reason,omitempty"`
}

// nextInfo is the verdict with the newer collateral, at the time at which all
// of it is in force.
type nextInfo struct {
	At time.Time `json:"at"`
	verdictInfo
	Fails attest.Verdict `json:"fails,omitempty"`
}

func (a *app) forecast(paths []string, f *forecastFlags) error {
	r, err := a.request(&f.verifyFlags)
	if err != nil {
		return err
	}
	until := r.At.AddDate(0, 0, f.days)
	if f.until != "" {
		if until, err = parseTime("--until", f.until); err != nil {
			return err
		}
	}
	if until.Before(r.At) || f.days < 0 || f.days > maxDays {
		return failf(exitUsage, "look ahead, at most a hundred years", "the forecast would end at %s, before it begins or too far ahead", until.Format(time.RFC3339))
	}
	var next attest.Collateral
	if len(f.next) > 0 {
		if next, err = a.readCollateral(f.next); err != nil {
			return err
		}
	}
	files, err := a.fleet(paths)
	if err != nil {
		return err
	}
	r.Caches = appraisal.Caches{SNP: snp.NewCache(fleetCache), Intel: tdx.NewCache(fleetCache)}
	r.Prepare()
	var fleet []machine
	for _, path := range files {
		m, err := a.foretell(r, path, until, next)
		if err != nil {
			return err
		}
		fleet = append(fleet, *m)
	}
	if slices.ContainsFunc(fleet, func(m machine) bool { return m.bad() }) {
		a.exit = exitForecast
	}
	if f.json {
		return a.writeJSON(map[string]any{"from": r.At.UTC().Truncate(time.Second), "until": until, "machines": fleet})
	}
	return a.emit("%s", forecastText(fleet, r.At, until, a.ui.width))
}

func (a *app) foretell(r appraisal.Request, path string, until time.Time, next attest.Collateral) (*machine, error) {
	var err error
	if r.File, err = a.readEvidence(path); err != nil {
		return nil, err
	}
	fc, err := r.Foretell(until)
	if err != nil {
		return nil, fail(exitUsage, "", fmt.Errorf("%s: %w", path, err))
	}
	m := &machine{
		File: path, Platform: fc.Now.Platform, Now: verdictInfo{fc.Now.Accepted, fc.Now.Reason},
		Refused: fc.Refused, Changes: fc.Changes, now: fc.Now,
	}
	if next == nil {
		return m, nil
	}
	if m.next, err = r.With(next); err != nil {
		return nil, fail(exitUsage, "", fmt.Errorf("%s: %w", path, err))
	}
	m.Next = &nextInfo{At: m.next.At, verdictInfo: verdictInfo{m.next.Accepted, m.next.Reason}}
	for _, row := range m.next.Rows {
		if row.Outcome == attest.Fail {
			m.Next.Fails = append(m.Next.Fails, row)
		}
	}
	return m, nil
}

// fleet are the files to look at: those that were named, and in directories
// those that hold evidence.
func (a *app) fleet(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return nil, fileError(exitUsage, "the evidence", path, err)
		}
		if !st.IsDir() {
			files = append(files, path)
			continue
		}
		n := len(files)
		err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return fileError(exitUsage, "the evidence", p, err)
			}
			if d.Type().IsRegular() && holdsEvidence(p) && len(files) <= maxFleet {
				files = append(files, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(files) == n {
			return nil, failf(exitUsage, "name the directory with the saved evidence", "%s: no file in it holds evidence", path)
		}
	}
	if len(files) > maxFleet {
		return nil, failf(exitUsage, "ask for a part of the fleet at a time", "more than %d files of evidence", maxFleet)
	}
	return files, nil
}

// holdsEvidence says whether a file is one for the forecast; damaged evidence
// is, and its verdict says what is wrong with it.
func holdsEvidence(path string) bool {
	st, err := os.Stat(path)
	if err != nil || st.Size() > appraisal.MaxFile || st.Size() == 0 {
		return false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	_, err = evidence.Find(b)
	return err == nil
}

// forecastText is the forecast for people: a table, the first to be refused
// first, and below it what happens to each machine.
func forecastText(fleet []machine, from, until time.Time, width int) string {
	fleet = slices.Clone(fleet)
	slices.SortStableFunc(fleet, func(x, y machine) int { return x.rank().Compare(y.rank()) })
	bad := 0
	for i := range fleet {
		if fleet[i].bad() {
			bad++
		}
	}
	var b strings.Builder
	b.WriteString(attest.Wrap(fmt.Sprintf("%d of %d refused by %s, seen from %s", bad, len(fleet), until.UTC().Format(time.RFC3339), from.UTC().Format(time.RFC3339)), "", width))
	for i := range fleet {
		b.WriteString("\n" + fleet[i].text(width))
	}
	return b.String()
}

// rank orders machines by when they are refused; those that never are come
// last.
func (m machine) rank() time.Time {
	switch {
	case m.Refused != nil:
		return *m.Refused
	case m.bad():
		return m.Next.At
	}
	return time.Unix(1<<40, 0)
}

// bad says that the machine is refused at some time, or with the newer
// collateral.
func (m *machine) bad() bool { return m.Refused != nil || m.Next != nil && !m.Next.Accepted }

// text says what happens to one machine, in order.
func (m *machine) text(width int) string {
	state := "accepted throughout"
	switch {
	case !m.Now.Accepted:
		state = "REFUSED now (" + string(m.Now.Reason) + ")"
	case m.Refused != nil:
		state = "REFUSED from " + m.Refused.Format(time.RFC3339) + " on"
	case m.bad():
		state = "REFUSED with the newer collateral"
	}
	var b strings.Builder
	b.WriteString(attest.Wrap(m.File+" ("+m.Platform+"): "+state, "", width))
	line := func(at time.Time, what, say string) {
		b.WriteString(attest.Wrap(what+": "+say, "  "+at.Format(time.RFC3339)+"  ", width))
	}
	todo := func(r attest.Row) {
		if r.Todo != "" {
			b.WriteString(attest.Wrap(r.Todo, "    do: ", width))
		}
	}
	for _, r := range m.now.Rows {
		if r.Outcome == attest.Fail && !strings.HasPrefix(r.Todo, "see the row") {
			line(m.now.At, "fails", r.Check+": "+r.Seen)
			todo(r)
		}
	}
	for _, c := range m.Changes {
		for _, r := range c.Fails {
			line(c.At, "fails", r.Check+": "+r.Seen)
			todo(r)
		}
		for _, r := range c.Warns {
			line(c.At, "warns", r.Check+": "+r.Expected)
		}
		if len(c.Mended) > 0 {
			line(c.At, "passes", strings.Join(c.Mended, ", "))
		}
	}
	if m.Next != nil {
		say := "accepted"
		if !m.Next.Accepted {
			say = "REFUSED (" + string(m.Next.Reason) + ")"
		}
		line(m.Next.At, "with the newer collateral", say)
		for _, r := range m.Next.Fails {
			line(m.Next.At, "fails", r.Check+": "+r.Seen)
			todo(r)
		}
	}
	return b.String()
}
