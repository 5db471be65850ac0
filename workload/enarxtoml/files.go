// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/enarx/enarx-go/workload"
)

// walker collects the files of all mounts. It reads through an [os.Root], so
// that nothing outside the directory of Enarx.toml can be reached even if the
// tree changes meanwhile.
type walker struct {
	root  *os.Root
	files []workload.BundleFile
	from  map[string]string // guest path to the source that gave it; "" for a directory
	total uint64            // bytes of content so far
}

func (w *walker) mount(m Mount) error {
	info, err := plain(w.root, m.Source)
	if err != nil {
		return err
	}
	if !info.IsDir() && m.Guest == "/" {
		return fmt.Errorf("%s is a file and cannot be the root directory; give guest the file's whole path", m.Source)
	}
	return w.add(m.Guest, m.Source, info)
}

func (w *walker) add(guest, source string, info fs.FileInfo) error {
	if guest != "/" {
		if err := workload.CheckPath(guest); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return w.addDir(guest, source)
	case mode.IsRegular():
		return w.addFile(guest, source, info)
	default:
		return fmt.Errorf("%s is %s; only regular files and directories can be packed", source, modeName(mode))
	}
}

func (w *walker) addDir(guest, source string) error {
	if guest != "/" {
		old, there := w.from[guest]
		if there && old != "" {
			return fmt.Errorf("directory %s and file %s would both be %s", source, old, guest)
		}
		if !there {
			if err := w.put(workload.BundleFile{Path: guest, Dir: true}, ""); err != nil {
				return err
			}
		}
	}
	d, err := w.root.Open(filepath.FromSlash(source))
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(512)
		for _, e := range entries {
			sub := path.Join(source, e.Name())
			info, err := w.root.Lstat(filepath.FromSlash(sub))
			if err != nil {
				return err
			}
			if err := w.add(path.Join(guest, e.Name()), sub, info); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *walker) addFile(guest, source string, info fs.FileInfo) error {
	if old, there := w.from[guest]; there {
		if old == "" {
			old = "a directory"
		}
		return fmt.Errorf("%s and %s would both be %s; each path can have one source", old, source, guest)
	}
	data, err := readFile(w.root, source, info, workload.MaxFileDataSize-w.total)
	if err != nil {
		return err
	}
	w.total += uint64(len(data))
	return w.put(workload.BundleFile{Path: guest, Data: data}, source)
}

func (w *walker) put(f workload.BundleFile, source string) error {
	if len(w.files) == workload.MaxBundleFiles {
		return fmt.Errorf("more than %d files and directories", workload.MaxBundleFiles)
	}
	w.from[f.Path] = source
	w.files = append(w.files, f)
	return nil
}

// plain looks at a path and refuses a symbolic link in any part of it.
func plain(root *os.Root, name string) (fs.FileInfo, error) {
	parts := strings.Split(name, "/")
	for i := range parts {
		part := strings.Join(parts[:i+1], "/")
		info, err := root.Lstat(filepath.FromSlash(part))
		if err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, fmt.Errorf("%s is a symbolic link; put what it points to in its place", part)
		}
		if i == len(parts)-1 {
			return info, nil
		}
	}
	return nil, fs.ErrNotExist
}

// readFile reads the regular file that info describes: all of it or nothing,
// at most limit bytes.
func readFile(root *os.Root, name string, info fs.FileInfo, limit uint64) ([]byte, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(info, now) || !now.Mode().IsRegular() {
		return nil, fmt.Errorf("%s was replaced while it was being packed; pack again", name)
	}
	if uint64(now.Size()) > limit {
		return nil, fmt.Errorf("%s has %d bytes, only %d are left of what a bundle may hold", name, now.Size(), limit)
	}
	data := make([]byte, now.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("%s became shorter while it was being packed; pack again", name)
	}
	if n, _ := f.Read(make([]byte, 1)); n != 0 {
		return nil, fmt.Errorf("%s became longer while it was being packed; pack again", name)
	}
	return data, nil
}

func modeName(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device or something else"
}
