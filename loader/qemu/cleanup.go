// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/internal/hostproc"
)

// Cleanup implements loader.Loader. QEMU and the software TPM end with the
// loader's process; this ends them where the kernel did not, and removes the
// recorded control groups and the TPM's state.
func (l *Loader) Cleanup(ctx context.Context, r loader.Record) error {
	if r.Platform != l.Platform() {
		return fmt.Errorf("clean up after Keep %s: it was on platform %q, this is the loader of %q", r.ID, r.Platform, l.Platform())
	}
	if !hostproc.ValidID(r.ID) {
		return fmt.Errorf("clean up after a Keep: the record's ID %q is none that a Keep can have", r.ID)
	}
	var errs []error
	for _, p := range append([]loader.Process{{PID: r.PID, StartTime: r.StartTime}}, r.Helpers...) {
		if p.PID > 0 {
			errs = append(errs, hostproc.EndProcess(ctx, p.PID, p.StartTime))
		}
	}
	for _, dir := range r.Cgroups {
		if filepath.Base(dir) != hostproc.GroupPrefix+r.ID || !filepath.IsAbs(dir) {
			errs = append(errs, fmt.Errorf("clean up after Keep %s: %q is not its control group", r.ID, dir))
			continue
		}
		errs = append(errs, hostproc.RemoveGroup(dir))
	}
	if filepath.IsAbs(r.StateDir) {
		if err := os.RemoveAll(filepath.Join(r.StateDir, tpmDirName)); err != nil {
			errs = append(errs, fmt.Errorf("clean up after Keep %s: %w", r.ID, err))
		}
	}
	return errors.Join(errs...)
}
