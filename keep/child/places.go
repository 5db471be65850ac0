// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/enarx/enarx-go/keep/wasi"
	"github.com/enarx/enarx-go/workload"
)

// places are the directories beside the bundle's files and lent ones: scratch
// space, and devices where nothing of the bundle or of a local run is in their
// place. have are the directories that there are already.
func places(b *workload.Bundle, cfg workload.Config, have []wasi.Preopen, asks *asker) ([]wasi.Preopen, error) {
	taken := func(path string) bool {
		return slices.ContainsFunc(have, func(p wasi.Preopen) bool { return p.Path == path })
	}
	var pre []wasi.Preopen
	for _, s := range cfg.Scratch {
		if taken(s.Path) {
			return nil, fmt.Errorf("engine child: scratch directory %s and a lent directory have the same path; lend it elsewhere", s.Path)
		}
		fs, err := wasi.NewScratchFS(wasi.ScratchLimits{Bytes: s.Bytes, Nodes: int(s.Files)})
		if err != nil {
			return nil, fmt.Errorf("engine child: scratch directory %s: %w", s.Path, err)
		}
		pre = append(pre, wasi.Preopen{Path: s.Path, FS: fs})
	}
	if b.HasDevices() && !taken(workload.DeviceDir) {
		fs, err := wasi.NewDeviceFS(rand.Reader, deviceNodes(cfg, asks)...)
		if err != nil {
			return nil, fmt.Errorf("engine child: devices: %w", err)
		}
		pre = append(pre, wasi.Preopen{Path: workload.DeviceDir, FS: fs})
	}
	return pre, nil
}

// deviceNodes are the devices of a Keep.
func deviceNodes(cfg workload.Config, asks *asker) []wasi.Node {
	nodes := []wasi.Node{{Path: "/enarx/identity.pem", Load: asks.identity}}
	if cfg.Evidence {
		nodes = append(nodes, wasi.Node{Path: "/enarx/evidence", Open: func() (wasi.Stream, error) {
			return wasi.NewExchange(askData, asks.evidence), nil
		}})
	}
	return nodes
}
