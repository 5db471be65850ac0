// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// normalFiles gives the canonical list of files: sorted by path, byte by byte,
// with the directories that lead to each entry. The input is not changed.
func normalFiles(files []BundleFile) ([]BundleFile, error) {
	have := make(map[string]bool, len(files)) // path, and whether it is a directory
	var out []BundleFile
	for _, f := range files {
		if why := checkPath(f.Path); why != "" {
			return nil, fmt.Errorf("workload: packing files: %s", why)
		}
		if f.Dir && len(f.Data) > 0 {
			return nil, fmt.Errorf("workload: packing files: directory %q has data", f.Path)
		}
		if _, dup := have[f.Path]; dup {
			return nil, fmt.Errorf("workload: packing files: %q is there twice; each path can have one source", f.Path)
		}
		have[f.Path] = f.Dir
		out = append(out, f)
	}
	for _, f := range files {
		for p := path.Dir(f.Path); p != "/"; p = path.Dir(p) {
			dir, ok := have[p]
			if ok && !dir {
				return nil, fmt.Errorf("workload: packing files: %q lies below %q, which is a file", f.Path, p)
			}
			if !ok {
				have[p] = true
				out = append(out, BundleFile{Path: p, Dir: true})
			}
		}
	}
	slices.SortFunc(out, func(a, b BundleFile) int { return strings.Compare(a.Path, b.Path) })
	if len(out) > MaxBundleFiles {
		return nil, fmt.Errorf("workload: packing files: %d files and directories, at most %d are allowed", len(out), MaxBundleFiles)
	}
	return out, nil
}

// cutFiles checks the entries of an index and gives each file its part of
// data, without copying.
func cutFiles(index []indexWire, data []byte) ([]BundleFile, error) {
	dirs := make(map[string]bool, len(index))
	files := make([]BundleFile, len(index))
	for i, e := range index {
		if why := checkPath(e.Path); why != "" {
			return nil, fmt.Errorf("entry %d: %s", i, why)
		}
		if i > 0 && e.Path <= index[i-1].Path {
			return nil, fmt.Errorf("entry %d: %q after %q: paths must ascend", i, clip(e.Path), clip(index[i-1].Path))
		}
		if up := path.Dir(e.Path); up != "/" && !dirs[up] {
			return nil, fmt.Errorf("entry %d: %q comes without its directory %q", i, clip(e.Path), clip(up))
		}
		if e.Dir && e.Size != 0 {
			return nil, fmt.Errorf("entry %d: directory %q has a size of %d, expected 0", i, clip(e.Path), e.Size)
		}
		if e.Size > uint64(len(data)) {
			return nil, fmt.Errorf("entry %d: %q has %d bytes, but only %d are left in file-data", i, clip(e.Path), e.Size, len(data))
		}
		dirs[e.Path] = e.Dir
		files[i] = BundleFile{Path: e.Path, Dir: e.Dir}
		if e.Size > 0 {
			files[i].Data = data[:e.Size:e.Size]
		}
		data = data[e.Size:]
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%d bytes of file-data belong to no file", len(data))
	}
	return files, nil
}

// DeviceDir is the directory of devices, which every workload finds whose
// bundle has nothing at that path.
const DeviceDir = "/dev"

// above says that the clean path p is dir itself or lies below it.
func above(dir, p string) bool {
	return p == dir || strings.HasPrefix(p, dir) && (dir == "/" || p[len(dir)] == '/')
}

// HasDevices says that the workload finds the directory of devices: neither
// the bundle's files nor its secrets have anything there.
func (u *Bundle) HasDevices() bool { return occupant(DeviceDir, u.config, u.files) == "" }

// occupant is what of a workload is at dir, below it, or a file above it; "" if
// nothing is.
func occupant(dir string, c Config, files []BundleFile) string {
	for _, f := range files {
		if above(dir, f.Path) || !f.Dir && above(f.Path, dir) {
			return fmt.Sprintf("%q of the bundle", clip(f.Path))
		}
	}
	for _, s := range c.Secrets {
		if s.Path != "" && (above(dir, s.Path) || above(s.Path, dir)) {
			return fmt.Sprintf("secret %q", clip(s.Name))
		}
	}
	return ""
}

// checkPlaces sees to it that nothing of a workload hides something else of
// it: no secret a file or another secret, no scratch directory either.
func checkPlaces(c Config, files []BundleFile) error {
	if err := checkSecretPaths(c.Secrets, files); err != nil {
		return err
	}
	if what := occupant(DeviceDir, c, files); c.Evidence && what != "" {
		return fmt.Errorf("evidence is had in %s, where %s is; choose another path for that", DeviceDir, what)
	}
	for _, s := range c.Scratch {
		for _, f := range files {
			if !f.Dir && (above(s.Path, f.Path) || above(f.Path, s.Path)) {
				return fmt.Errorf("scratch directory %s and file %s of the bundle are in each other's way; choose another path", s.Path, f.Path)
			}
		}
		for _, x := range c.Secrets {
			if x.Path != "" && (above(s.Path, x.Path) || above(x.Path, s.Path)) {
				return fmt.Errorf("scratch directory %s and secret %q at %s are in each other's way; choose another path", s.Path, x.Name, x.Path)
			}
		}
	}
	return nil
}

// checkSecretPaths sees to it that no secret hides a file of the bundle or
// another secret, and that none lies below a file.
func checkSecretPaths(secrets []Secret, files []BundleFile) error {
	taken := make(map[string]string, len(files))
	for _, f := range files {
		if f.Dir {
			taken[f.Path] = "directory"
		} else {
			taken[f.Path] = "file"
		}
	}
	for _, s := range secrets {
		if s.Path == "" {
			continue
		}
		if what, ok := taken[s.Path]; ok {
			return fmt.Errorf("secret %q would be at %s, where the bundle has a %s; choose another path", s.Name, s.Path, what)
		}
		taken[s.Path] = "secret"
	}
	for _, s := range secrets {
		for p := path.Dir("/" + strings.TrimPrefix(s.Path, "/")); p != "/"; p = path.Dir(p) {
			if what, ok := taken[p]; ok && what != "directory" {
				return fmt.Errorf("secret %q would be at %s, below the %s %s; choose another path", s.Name, s.Path, what, p)
			}
		}
	}
	return nil
}
