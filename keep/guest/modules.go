// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// hardware are the modules that find nothing to drive on most machines: each
// belongs to one kind of TEE.
var hardware = map[string]bool{"sev_guest": true, "tdx_guest": true}

// loadModules loads the modules in dir in the order of their names. An image
// without any has no such directory.
func loadModules(dir string, finit func(fd int, params string, flags int) error) error {
	entries, err := os.ReadDir(dir) // sorted
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the modules: %w", err)
	}
	if len(entries) > maxModules {
		return fmt.Errorf("%d modules are in %s, at most %d are expected", len(entries), dir, maxModules)
	}
	for _, e := range entries {
		if err := loadModule(filepath.Join(dir, e.Name()), finit); err != nil {
			return fmt.Errorf("load module %s: %w", e.Name(), err)
		}
	}
	return nil
}

func loadModule(path string, finit func(int, string, int) error) error {
	name, flags, err := moduleName(filepath.Base(path))
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > maxModule {
		return fmt.Errorf("expected a file of at most %d bytes (%v)", maxModule, err)
	}
	err = finit(int(f.Fd()), "", flags)
	switch {
	case errors.Is(err, unix.EEXIST): // built in
		return nil
	case errors.Is(err, unix.ENODEV) && hardware[name]:
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: it needs a symbol of a module that must come before it", err)
	}
	return err
}

// moduleName takes "10-sev-guest.ko.xz" apart. The name is as the kernel has it,
// without hyphens.
func moduleName(file string) (name string, flags int, err error) {
	order, name, ok := strings.Cut(file, "-")
	name, xz := strings.CutSuffix(name, ".xz")
	name, ko := strings.CutSuffix(name, ".ko")
	if !ok || !ko || name == "" || strings.Trim(order, "0123456789") != "" || order == "" {
		return "", 0, errors.New(`expected a name like "10-pvpanic.ko.xz"`)
	}
	if xz {
		// The kernel unpacks it (MODULE_DECOMPRESS), so that no
		// decompressor is in the Keep.
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return strings.ReplaceAll(name, "-", "_"), flags, nil
}
