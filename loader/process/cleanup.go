// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// Cleanup implements loader.Loader. It kills the recorded process if it is the
// same one by number and start time, and removes the recorded control groups.
// It may be called for a Keep of which nothing is left.
func (l *Loader) Cleanup(ctx context.Context, r loader.Record) error {
	if r.Platform != l.Platform() {
		return fmt.Errorf("clean up after Keep %s: it was on platform %q, this is the loader of %q", r.ID, r.Platform, l.Platform())
	}
	if !hostproc.ValidID(r.ID) {
		return fmt.Errorf("clean up after a Keep: the record's ID %q is none that a Keep can have", r.ID)
	}
	var errs []error
	if r.PID > 0 {
		errs = append(errs, hostproc.EndProcess(ctx, r.PID, r.StartTime))
	}
	for _, dir := range r.Cgroups {
		if filepath.Base(dir) != hostproc.GroupPrefix+r.ID || !filepath.IsAbs(dir) {
			errs = append(errs, fmt.Errorf("clean up after Keep %s: %q is not its control group", r.ID, dir))
			continue
		}
		errs = append(errs, hostproc.RemoveGroup(dir))
	}
	return errors.Join(errs...)
}
