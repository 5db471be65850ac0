// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/client"
)

const (
	// psTimeout bounds how long ps waits for one agent.
	psTimeout = 5 * time.Second
	// psAtOnce bounds how many agents are asked at a time.
	psAtOnce = 16
)

// psEntry is one line of ps. State and since when are the host's word.
type psEntry struct {
	Name     string `json:"name"`
	Module   string `json:"module,omitempty"`
	Platform string `json:"platform"`
	State    string `json:"state"` // the agent's, or "gone", "unreachable", "unreadable"
	Created  string `json:"created"`
	Host     string `json:"host"`
	Bundle   string `json:"bundle,omitempty"`
	Owner    string `json:"owner,omitempty"`
	Error    string `json:"error,omitempty"`
}

func newPsCmd(a *app) *cobra.Command {
	var asJSON, prune bool
	var host string
	var reach reachFlags
	c := &cobra.Command{
		Use:   "ps",
		Short: "List your deployments and what their hosts say about them",
		Long: `List the deployments whose owner files are in your configuration directory, with
the state that their hosts tell. That state is hearsay; inspect asks the Keep.
With --host list all Keeps of one agent instead.

--prune puts away the owner files of deployments that their hosts know no longer:
a host may say so of a Keep that runs on, so the key in the file is kept, in
NAME.owner.pruned beside it. Delete it when you know better.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a.ui.jsonErrors = asJSON
			if host != "" {
				return a.psHost(c.Context(), host, &reach, asJSON)
			}
			return a.ps(c.Context(), asJSON, prune)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&prune, "prune", false, "put away, as NAME.owner.pruned, the owner files of deployments that their hosts no longer know")
	c.Flags().StringVar(&host, "host", "", "list the Keeps of the agent at `URL`")
	reach.add(c)
	return c
}

// listOwners reads all owner files of this user, newest first. One that cannot
// be read is an error of its own.
func listOwners() ([]*ownerFile, []error) {
	dir, err := ownersDir()
	if err != nil {
		return nil, []error{err}
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+ownerSuffix))
	var owners []*ownerFile
	var errs []error
	for _, p := range paths {
		o, err := parseOwnerFile(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		owners = append(owners, o)
	}
	slices.SortStableFunc(owners, func(a, b *ownerFile) int { return strings.Compare(b.Created, a.Created) })
	return owners, errs
}

func (a *app) ps(ctx context.Context, asJSON, prune bool) error {
	owners, errs := listOwners()
	for _, err := range errs {
		a.ui.warningf("%v", err)
	}
	entries := make([]psEntry, len(owners))
	slots := make(chan struct{}, psAtOnce)
	var wg sync.WaitGroup
	for i, o := range owners {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			entries[i] = psOne(ctx, o)
		})
	}
	wg.Wait()
	if prune {
		entries = slices.DeleteFunc(entries, a.pruneOne)
	}
	return a.showPs(entries, asJSON)
}

// prunedSuffix follows the name of an owner file that ps no longer lists.
const prunedSuffix = ".pruned"

// pruneOne puts an owner file away if the host does not know its Keep. It never
// deletes one: the host's word must not cost the owner the only key.
func (a *app) pruneOne(e psEntry) bool {
	if e.State != "gone" {
		return false
	}
	away := e.Owner + prunedSuffix
	// Link refuses to replace what is there.
	err := os.Link(e.Owner, away)
	if err == nil {
		err = os.Remove(e.Owner)
	}
	if err != nil {
		a.ui.warningf("putting %s away: %v", e.Owner, err)
		return false
	}
	a.ui.notef("%s is put away; its key is still in %s", e.Name, away)
	return true
}

func psOne(ctx context.Context, o *ownerFile) psEntry {
	ctx, cancel := context.WithTimeout(ctx, psTimeout)
	defer cancel()
	e := psEntry{Name: o.name(), Module: o.Module, Platform: o.Platform, Created: o.Created, Host: o.Host, Bundle: o.Bundle, Owner: o.path}
	c, err := o.agent()
	if err != nil {
		e.State, e.Error = "unreachable", err.Error()
		return e
	}
	k, err := c.Inspect(ctx, o.Keep, o.Capability)
	switch {
	case err == nil:
		e.State = oneLine(string(k.State))
	case isGone(err):
		e.State = "gone"
	default:
		e.State, e.Error = "unreachable", err.Error()
		var p *client.ProblemError
		if errors.As(err, &p) {
			e.State = "refused"
		}
	}
	return e
}

func (a *app) psHost(ctx context.Context, host string, reach *reachFlags, asJSON bool) error {
	c, err := client.New(host, client.Options{TokenFile: reach.tokenFile, CAFile: reach.tlsCA, ClientCert: reach.clientCert, ClientKey: reach.clientKey})
	if err != nil {
		return fail(exitUsage, "", err)
	}
	keeps, err := c.List(ctx)
	if err != nil {
		return sessionError(ctx, err)
	}
	var entries []psEntry
	for _, k := range keeps {
		entries = append(entries, psEntry{
			Name: oneLine(k.ID), Platform: oneLine(k.Platform), State: oneLine(string(k.State)),
			Created: k.Created.UTC().Format(time.RFC3339), Host: host,
		})
	}
	return a.showPs(entries, asJSON)
}

func (a *app) showPs(entries []psEntry, asJSON bool) error {
	if asJSON {
		if entries == nil {
			entries = []psEntry{}
		}
		return a.writeJSON(map[string]any{"deployments": entries})
	}
	if len(entries) == 0 {
		return nil
	}
	name := len("NAME")
	for _, e := range entries {
		name = max(name, len(e.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %-8s  %-11s  %-20s  %s\n", name, "NAME", "PLATFORM", "STATE", "CREATED", "HOST")
	for _, e := range entries {
		fmt.Fprintf(&b, "%-*s  %-8s  %-11s  %-20s  %s\n", name, e.Name, e.Platform, e.State, e.Created, oneLine(e.Host))
	}
	return a.emit("%s", b.String())
}
