// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// PrepareRoot gives the Keep a root directory of its own: an empty, read-only
// tmpfs that holds the lent directories as /dirs/0, /dirs/1, … and the cache
// directory as /cache, and nothing else: no /proc, no /dev, no program. The
// host's tree is detached from it. Nothing in it can be executed, is a
// device, or changes its user when executed.
//
// It works on the whole mount namespace, so that an engine child that was
// started before moves along. Without spec.MountNS it does nothing. It needs
// the capabilities that the Keep has at start and is therefore called before
// [SealParent]. Linux 5.12 or later.
func PrepareRoot(spec *Spec) error {
	if !spec.MountNS {
		return nil
	}
	// Without this, mounts made here could show up on the host.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the Keep's mounts private: %w", err)
	}
	root, err := attachRoot()
	if err != nil {
		return err
	}
	defer unix.Close(root)
	for i, d := range spec.Dirs {
		if err := attachDir(root, fmt.Sprintf("dirs/%d", i), d); err != nil {
			return err
		}
	}
	if spec.Cache != nil {
		if err := attachDir(root, "cache", *spec.Cache); err != nil {
			return err
		}
	}
	return enterRoot(root)
}

// attachRoot mounts an empty tmpfs over the present root, where it is out of
// sight until enterRoot, and returns a descriptor of it.
func attachRoot() (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open a tmpfs for the Keep's root: %w", err)
	}
	defer unix.Close(fs)
	// A page or two is all that directories without files take.
	for _, o := range [][2]string{{"size", "64k"}, {"nr_inodes", "256"}, {"mode", "0555"}} {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return -1, fmt.Errorf("set %s=%s on the Keep's root: %w", o[0], o[1], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create the Keep's root: %w", err)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, fmt.Errorf("mount the Keep's root: %w", err)
	}
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		unix.Close(root)
		return -1, fmt.Errorf("attach the Keep's root: %w", err)
	}
	if err := unix.Mkdirat(root, "dirs", 0o555); err != nil {
		unix.Close(root)
		return -1, fmt.Errorf("make /dirs in the Keep's root: %w", err)
	}
	return root, nil
}

// attachDir makes the directory name in root and attaches m to it.
func attachDir(root int, name string, m Mount) error {
	tree := m.FD
	if tree == 0 {
		var err error
		tree, err = CloneTree(m)
		if err != nil {
			return err
		}
	} else {
		unix.CloseOnExec(tree)
	}
	defer unix.Close(tree)
	if err := unix.Mkdirat(root, name, 0o555); err != nil {
		return fmt.Errorf("make /%s in the Keep's root: %w", name, err)
	}
	if err := unix.MoveMount(tree, "", root, name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach %s as /%s: %w", m.Host, name, err)
	}
	return nil
}

// CloneTree returns a descriptor (close-on-exec) of a detached copy of the
// mounts at and below m.Host in which nothing is executable, a device or
// set-user-ID, and nothing is writable if m.ReadOnly. A privileged loader
// calls it for directories that the Keep's own user could not reach.
func CloneTree(m Mount) (int, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Host, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("take a copy of the mounts of %s: %w", m.Host, err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if m.ReadOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(tree)
		return -1, fmt.Errorf("restrict the mounts of %s: %w", m.Host, err)
	}
	return tree, nil
}

// enterRoot makes root the root of every process in the mount namespace and
// detaches the old one.
func enterRoot(root int) error {
	if err := unix.Fchdir(root); err != nil {
		return fmt.Errorf("enter the Keep's root: %w", err)
	}
	// Old and new root on the same directory: the old one then lies on top
	// of the new one and "." can be detached without a mount point for it
	// (pivot_root(2), notes).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change to the Keep's root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the host's file system: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("enter the Keep's root: %w", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr); err != nil {
		return fmt.Errorf("make the Keep's root read-only: %w", err)
	}
	return nil
}
