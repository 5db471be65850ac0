// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// findPort gives the sysfs directory of the virtio port called name, below
// class (/sys/class/virtio-ports).
func findPort(class, name string) (string, error) {
	f, err := os.Open(class)
	if err != nil {
		return "", err
	}
	defer f.Close()
	found := ""
	names, err := f.Readdirnames(maxPorts + 1)
	if len(names) > maxPorts {
		return "", fmt.Errorf("the machine has more than %d virtio ports, expected 2", maxPorts)
	}
	for _, n := range names {
		dir := filepath.Join(class, n)
		// A port that is just being made has no name yet.
		if got, err := readSmall(dir + "/name"); err != nil || got != name {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("two virtio ports are called %s; give the machine one", name)
		}
		found = dir
	}
	if found == "" {
		return "", fmt.Errorf("%w virtio port %s (%v)", errNoPort, name, err)
	}
	return found, nil
}

var errNoPort = errors.New("the machine has no")

// openPort waits until the port called name is there and its host's end is
// connected, and opens it, non-blocking.
func openPort(name string, deadline time.Time) (*os.File, error) {
	dir, err := findPort(portClass, name)
	for ; errors.Is(err, errNoPort) || errors.Is(err, os.ErrNotExist); dir, err = findPort(portClass, name) {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w; the loader must add a virtserialport of this name", err)
		}
		time.Sleep(pause)
	}
	if err != nil {
		return nil, err
	}
	path, err := nodeOf(dir)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open virtio port %s: %w", name, err)
	}
	if err := awaitHost(fd, deadline); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("virtio port %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

const portClass = "/sys/class/virtio-ports"

// awaitHost waits for the other end of a port. Before it is there, the kernel
// says that the port is hung up, and reads give an end of file that means
// nothing (drivers/char/virtio_console.c, port_fops_poll).
func awaitHost(fd int, deadline time.Time) error {
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(p, 0)
		switch {
		case err != nil && err != unix.EINTR:
			return fmt.Errorf("wait for the host's end: %w", err)
		case err == nil && p[0].Revents&unix.POLLHUP == 0:
			return nil
		case time.Now().After(deadline):
			return errors.New("the host has not connected its end in time")
		}
		time.Sleep(pause)
	}
}
