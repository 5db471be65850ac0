// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
)

// firstMountFD is the Keep's first descriptor of a lent directory.
const firstMountFD = sandbox.SpecFD + 1

// files are the open files of a start: the Keep's ends and ours.
type files struct {
	null      *os.File
	sallyport *os.File // Keep's end
	specRead  *os.File // Keep's end
	stderrIn  *os.File // Keep's end, nil for /dev/null
	mounts    []*os.File

	channel   *os.File // ours
	specWrite *os.File // ours
	stderr    *os.File // ours, nil if nobody reads
}

func (s *start) openFiles() (*files, error) {
	f := &files{}
	if err := f.open(s.spec.Stderr != nil); err != nil {
		f.closeKeepEnds()
		for _, o := range []*os.File{f.channel, f.specWrite, f.stderr} {
			if o != nil {
				o.Close()
			}
		}
		return nil, err
	}
	return f, nil
}

func (f *files) open(stderr bool) error {
	var err error
	if f.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return fmt.Errorf("open the Keep's standard input: %w", err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make the sallyport: %w", err)
	}
	// Our end waits in the poller, so that Close ends a pending Read. The
	// Keep's end is set as the Keep likes.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return fmt.Errorf("make the sallyport: %w", err)
	}
	f.channel = os.NewFile(uintptr(fds[0]), "sallyport")
	f.sallyport = os.NewFile(uintptr(fds[1]), "sallyport of the Keep")
	if f.specRead, f.specWrite, err = os.Pipe(); err != nil {
		return fmt.Errorf("make the pipe for the Keep's sandbox spec: %w", err)
	}
	if stderr {
		if f.stderr, f.stderrIn, err = os.Pipe(); err != nil {
			return fmt.Errorf("make the pipe for the Keep's messages: %w", err)
		}
	}
	return nil
}

// inherited are the Keep's descriptors in order.
func (f *files) inherited() []*os.File {
	stderr := f.stderrIn
	if stderr == nil {
		stderr = f.null
	}
	return append([]*os.File{f.null, f.null, stderr, f.sallyport, f.specRead}, f.mounts...)
}

// closeKeepEnds closes our copies of what the Keep has inherited, and what is
// only used during a start.
func (f *files) closeKeepEnds() {
	for _, o := range append([]*os.File{f.null, f.sallyport, f.specRead, f.stderrIn, f.specWrite}, f.mounts...) {
		if o != nil {
			o.Close()
		}
	}
	if f.stderr != nil { // no Keep has taken it
		f.stderr.Close()
		f.stderr = nil
	}
}

// send gives the Keep its Spec and so lets it go.
func (f *files) send(box *sandbox.Spec) error {
	b, err := box.Encode()
	if err != nil {
		return err
	}
	if _, err := f.specWrite.Write(b); err != nil {
		return fmt.Errorf("send the Keep its sandbox spec: %w; did it end at once?", err)
	}
	return f.specWrite.Close()
}

// mounts prepares the lent directories for a plan. A Keep of another user than
// ours could not walk the way to them, so a privileged loader hands it
// detached mounts.
func (s *start) mounts(p plan, f *files) error {
	for _, m := range f.mounts {
		m.Close()
	}
	f.mounts = nil
	if os.Geteuid() != 0 {
		return nil
	}
	if s.spec.CacheDir != "" && p.user == nobody {
		if err := giveAway(s.spec.CacheDir, nobody); err != nil {
			return err
		}
	}
	if !p.namespaces {
		return nil
	}
	for _, m := range s.lent() {
		fd, err := sandbox.CloneTree(m)
		if err != nil {
			return err
		}
		f.mounts = append(f.mounts, os.NewFile(uintptr(fd), m.Host))
	}
	return nil
}

// giveAway makes dir and what is in it the user's. The directory belongs to one
// Keep alone and does not exist for others yet.
func giveAway(dir string, user int) error {
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, user, user)
	})
	if err != nil {
		return fmt.Errorf("give the cache directory to the Keep's user: %w", err)
	}
	return nil
}
