// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/guestport"
)

// readSmall reads a short file of proc or sysfs, without the final newline.
func readSmall(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSmallFile {
		return "", fmt.Errorf("%s is longer than %d bytes", name, maxSmallFile)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// writeFile writes a setting in one system call, which is how the kernel takes
// them.
func writeFile(name, value string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(value))
	return errors.Join(err, f.Close())
}

// newRoot is where the root directory is made. (The kernel brings a /root.)
const newRoot = "/machine"

// mountRoot mounts a small tmpfs that becomes the root directory, with the file
// systems in it that the boot needs. A sandbox can be built on a tmpfs and not
// on the initrd, whose root cannot be changed for another (pivot_root(2)).
func mountRoot() error {
	if err := os.Mkdir(newRoot, 0o755); err != nil {
		return fmt.Errorf("make the root's mount point: %w", err)
	}
	if err := unix.Mount("tmpfs", newRoot, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "size=256k,nr_inodes=64,mode=0755"); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	for _, m := range []struct{ dir, kind string }{{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", ""}} {
		if err := os.Mkdir(newRoot+m.dir, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", m.dir, err)
		}
		if m.kind == "" {
			continue
		}
		if err := unix.Mount(m.kind, newRoot+m.dir, m.kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.kind, err)
		}
	}
	return node(newRoot+"/dev/null", 1, 3, 0o666)
}

// enterRoot makes the new root the root directory of this process and of all
// that it starts.
func enterRoot() error {
	if err := os.Chdir(newRoot); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return os.Chdir("/")
}

// emptyInitrd removes what the initrd brought and is not needed any more, for
// its memory. The running program stays until its last process ends.
func emptyInitrd() error {
	for _, name := range []string{"/init", guestport.ModulesDir, "/dev"} {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("remove %s of the initrd: %w", name, err)
		}
	}
	return nil
}

// node makes a character device's node. There is no devtmpfs: a device that
// nobody made a node for cannot be opened, whatever drivers the kernel has.
func node(name string, major, minor uint32, mode uint32) error {
	if err := unix.Mknod(name, unix.S_IFCHR|mode, int(unix.Mkdev(major, minor))); err != nil {
		return fmt.Errorf("make device node %s: %w", filepath.Base(name), err)
	}
	return os.Chmod(name, os.FileMode(mode)) // whatever the file mode mask is
}

// nodeOf makes the node of the device whose sysfs directory is dir, and returns
// its path.
func nodeOf(dir string) (string, error) {
	s, err := readSmall(dir + "/dev")
	if err != nil {
		return "", fmt.Errorf("number of device %s: %w", filepath.Base(dir), err)
	}
	major, minor, err := parseDev(s)
	if err != nil {
		return "", fmt.Errorf("number of device %s: %w", filepath.Base(dir), err)
	}
	name := "/dev/" + filepath.Base(dir)
	return name, node(name, major, minor, 0o600)
}

// parseDev reads "major:minor" (sysfs, Documentation/ABI/testing/sysfs-dev).
func parseDev(s string) (major, minor uint32, err error) {
	var rest string
	if n, _ := fmt.Sscanf(s, "%d:%d%s", &major, &minor, &rest); n != 2 || major == 0 || major > 4095 || minor > 1<<20-1 {
		return 0, 0, fmt.Errorf("%q is no device number", s)
	}
	return major, minor, nil
}
