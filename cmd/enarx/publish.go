// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/workload"
)

// parsePublish reads --publish HOST:GUEST. HOST is a port or an address and a
// port.
func parsePublish(flags []string) ([]session.Publish, error) {
	var out []session.Publish
	for _, f := range flags {
		i := strings.LastIndexByte(f, ':')
		if i <= 0 {
			return nil, publishError(f, "expected HOST:GUEST")
		}
		guest, err := strconv.ParseUint(f[i+1:], 10, 16)
		if err != nil || guest == 0 {
			return nil, publishError(f, "the guest's port is not a number from 1 to 65535")
		}
		host, port := "", f[:i]
		if strings.Contains(port, ":") {
			if host, port, err = net.SplitHostPort(f[:i]); err != nil || net.ParseIP(host) == nil {
				return nil, publishError(f, "the host's side is neither a port nor an address and a port")
			}
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, publishError(f, "the host's port is not a number from 0 to 65535")
		}
		if slices.ContainsFunc(out, func(p session.Publish) bool { return p.Guest == uint16(guest) }) {
			return nil, publishError(f, "the guest's port is published twice")
		}
		out = append(out, session.Publish{Guest: uint16(guest), Host: f[:i]})
	}
	return out, nil
}

func publishError(flag, why string) error {
	return failf(exitUsage, "write it as 8443:443, 127.0.0.1:8443:443 or [::1]:8443:443; host port 0 takes any free one", "--publish %q: %s", flag, why)
}

// checkPublish refuses a port on which the workload does not listen.
func checkPublish(publish []session.Publish, c workload.Config) error {
	var ports []string
	for _, f := range c.Files {
		if f.Kind == workload.KindListen {
			ports = append(ports, strconv.Itoa(int(f.Port)))
		}
	}
	for _, p := range publish {
		if !slices.Contains(ports, strconv.Itoa(int(p.Guest))) {
			hint := "the workload listens on no port: add a listen entry to [[files]] of Enarx.toml"
			if len(ports) > 0 {
				hint = "the workload listens on " + strings.Join(ports, ", ")
			}
			return failf(exitUsage, hint, "--publish: the workload does not listen on port %d", p.Guest)
		}
	}
	return nil
}

// parseDirs reads --dir HOST:GUEST[:ro].
func parseDirs(flags []string) ([]loader.Dir, error) {
	var out []loader.Dir
	for _, f := range flags {
		parts := strings.Split(f, ":")
		ro := len(parts) == 3 && parts[2] == "ro"
		if (len(parts) != 2 && !ro) || parts[0] == "" {
			return nil, failf(exitUsage, "write it as ./data:/data or ./data:/data:ro", "--dir %q: expected HOST:GUEST or HOST:GUEST:ro", f)
		}
		guest := parts[1]
		if err := workload.CheckPath(guest); err != nil && guest != "/" {
			return nil, failf(exitUsage, "the guest's path is absolute, such as /data", "--dir %q: %w", f, err)
		}
		host, err := filepath.Abs(parts[0])
		if err != nil {
			return nil, failf(exitInternal, "", "--dir %q: %w", f, err)
		}
		st, err := os.Stat(host)
		if err != nil {
			return nil, fileError(exitUsage, "the directory of --dir", host, err)
		}
		if !st.IsDir() {
			return nil, failf(exitUsage, "lend the directory that it is in", "--dir: %s is not a directory", host)
		}
		if slices.ContainsFunc(out, func(d loader.Dir) bool { return d.Guest == guest }) {
			return nil, failf(exitUsage, "choose another path for one of them", "--dir: %s is used twice", guest)
		}
		out = append(out, loader.Dir{Host: host, Guest: guest, ReadOnly: ro})
	}
	return out, nil
}
