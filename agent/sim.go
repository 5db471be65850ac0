// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/enarx/enarx-go/attest/sim"
	"github.com/enarx/enarx-go/attest/sim/simhw"
	"github.com/enarx/enarx-go/sallyport"
)

// simHardware plays the TEE of platform sim, in the shape of one that exists.
// The measurement is that of the Keep runtime that this agent starts; the host
// data is the relay's.
type simHardware struct {
	authority   *simhw.Authority
	format      string
	measurement [48]byte
	now         func() time.Time
}

// Quote implements relay.Hardware.
func (h *simHardware) Quote(reportData [64]byte, hostData [32]byte) ([]byte, error) {
	ev, err := h.authority.Evidence(h.format, simhw.Spec{ReportData: reportData, Measurement: h.measurement, HostData: hostData}, h.now())
	return ev.Value, err
}

const (
	simAuthorityFile = "sim-authority.pem"
	// SimRootFile is the file in the state directory that holds the
	// certificate of sim's throw-away root.
	SimRootFile = "sim-root.pem"
)

// openSim loads the state directory's sim authority, or makes one.
func (a *Agent) openSim() error {
	path := a.state.path(simAuthorityFile)
	saved, err := readFile(path, maxStateFile)
	var auth *simhw.Authority
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if auth, err = simhw.NewAuthority(a.now()); err != nil {
			return fmt.Errorf("agent: sim authority: %w", err)
		}
		if saved, err = auth.Save(); err != nil {
			return fmt.Errorf("agent: sim authority: %w", err)
		}
		if err := a.state.write(path, saved, 0o600); err != nil {
			return fmt.Errorf("agent: sim authority: %w", err)
		}
	case err != nil:
		return fmt.Errorf("agent: sim authority: %w", err)
	default:
		if auth, err = simhw.Load(saved); err != nil {
			return fmt.Errorf("agent: %s: %w; remove the file to have a new root made, which clients then have to be given", path, err)
		}
	}
	if err := auth.CheckFormat(a.cfg.SimFormat); err != nil {
		return fmt.Errorf("agent: %s: %w; remove the file to have a new root made, which clients then have to be given, or leave --sim-format at snp", path, err)
	}
	// Written every time, so that it is the root of this authority whatever
	// happened before.
	if err := a.state.write(a.state.path(SimRootFile), auth.RootPEM(), 0o644); err != nil {
		return fmt.Errorf("agent: sim root: %w", err)
	}
	a.hardware = &simHardware{authority: auth, format: a.cfg.SimFormat, measurement: sim.Measurement(a.keepDigest), now: a.now}
	return nil
}

func (a *Agent) simHints() []sallyport.Hint {
	if a.hardware == nil {
		return nil
	}
	col, err := a.hardware.authority.Collateral(a.hardware.format)
	if err != nil { // openSim has checked the format
		a.log.Error("no collateral for sim", "err", err)
	}
	var hints []sallyport.Hint
	for _, c := range col {
		hints = append(hints, sallyport.Hint{MediaType: c.MediaType, Value: c.Value})
	}
	return hints
}
