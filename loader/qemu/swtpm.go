// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tpmDirName is the TPM's state below a Keep's StateDir.
const tpmDirName = "tpm"

// startTPM makes a new TPM with an endorsement key that the host's own
// authority has certified, and starts it.
func (s *start) startTPM(ctx context.Context) error {
	path, err := exec.LookPath("swtpm")
	if err != nil {
		return errors.New("the software TPM (swtpm) is not installed: apt-get install swtpm swtpm-tools")
	}
	if s.l.o.TPMAuthority == "" {
		return errors.New("no directory for the authority of software TPMs was named")
	}
	if _, err := OpenTPMAuthority(s.l.o.TPMAuthority); err != nil {
		return err
	}
	dir := filepath.Join(s.spec.StateDir, tpmDirName)
	s.k.tpmDir = dir
	if err := os.RemoveAll(dir); err != nil { // of a first try
		return fmt.Errorf("make the TPM's state: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the TPM's state: %w", err)
	}
	state, err := s.manufacture(ctx, dir)
	if err != nil {
		return fmt.Errorf("make the TPM: %w", err)
	}
	defer state.Close()
	// Both ends of everything are descriptors: the TPM runs as nobody and may
	// not walk the way to its state.
	c, err := spawn(path, []string{"socket", "--tpm2", "--tpmstate", "dir=/proc/self/fd/4,mode=0600",
		"--ctrl", "type=unixio,clientfd=3", "--flags", "startup-clear", "--terminate"},
		[]*os.File{s.sockets.tpm[0], state}, state, s.apart()...)
	// The machine's end of the pair is QEMU's, this one the TPM's.
	s.sockets.tpm[0].Close()
	s.sockets.tpm[0] = nil
	if err != nil {
		return err
	}
	s.k.tpm = c
	return nil
}

// manufacture makes a TPM's state below dir and opens it. The tool runs as the
// loader's user, since it signs with the authority's key; what it leaves is
// given to the user that the TPM runs as.
func (s *start) manufacture(ctx context.Context, dir string) (*os.File, error) {
	state, work := filepath.Join(dir, "state"), filepath.Join(dir, "work")
	for _, d := range []string{state, work} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
	}
	config, err := writeSetup(work, s.l.o.TPMAuthority)
	if err != nil {
		return nil, err
	}
	if err := s.runSetup(ctx, work, "--tpm2", "--tpmstate", state, "--config", config, "--create-ek-cert",
		"--pcr-banks", "sha256", "--lock-nvram", "--overwrite"); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(work); err != nil {
		return nil, err
	}
	d, err := os.Open(state)
	if err != nil || os.Geteuid() != 0 {
		return d, err
	}
	entries, err := d.ReadDir(-1)
	for _, e := range entries {
		if err == nil {
			err = os.Lchown(filepath.Join(state, e.Name()), nobody, nobody)
		}
	}
	if err == nil {
		err = d.Chown(nobody, nobody)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// runSetup runs swtpm_setup, which starts further programs. They end with it,
// see launchSetup, and are bounded like the rest of the Keep.
func (s *start) runSetup(ctx context.Context, work string, args ...string) error {
	path, err := exec.LookPath("swtpm_setup")
	if err != nil {
		return errors.New("swtpm_setup is not installed: apt-get install swtpm-tools")
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := launchSetup(path, args, work, []*os.File{null, w, w})
	w.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	for _, g := range s.k.groups {
		// What is not in the group is not found by Cleanup either.
		if err := g.Add(p.Pid); err != nil && !errors.Is(err, unix.ESRCH) {
			_ = unix.Kill(-p.Pid, unix.SIGKILL)
			_, _ = p.Wait()
			return err
		}
	}
	said := &tail{}
	ended := make(chan error, 1)
	go func() {
		_, _ = r.WriteTo(said) // until the last of its programs has ended
		state, err := p.Wait()
		if err == nil && !state.Success() {
			err = fmt.Errorf("swtpm_setup: %v: %s", state, said.lastLine())
		}
		ended <- err
	}()
	limit := time.NewTimer(setupTime)
	defer limit.Stop()
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		err = fmt.Errorf("swtpm_setup does not end within %v", setupTime)
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = unix.Kill(-p.Pid, unix.SIGKILL) // its session: it has not been waited for
	<-ended
	return err
}

// launchSetup starts swtpm_setup as the first process of a process namespace.
// The signal at the end of the loader's process reaches that one only; with it
// the kernel ends all others of the namespace, in particular the TPM that
// swtpm_setup talks to, which would wait for commands for ever. Where the host
// refuses namespaces, Cleanup finds them in the Keep's control group.
func launchSetup(path string, args []string, work string, files []*os.File) (p *os.Process, err error) {
	for _, confined := range []bool{true, false} {
		attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
		if confined {
			attr.Cloneflags = unix.CLONE_NEWPID
			asOneself(attr)
		}
		p, err = launch(path, args, &os.ProcAttr{
			// It finds its helpers by their names, and makes a directory below TMPDIR.
			Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "TMPDIR=" + work}, Dir: work, Files: files, Sys: attr,
		})
		if err == nil || !refused(err) {
			break
		}
	}
	return p, err
}
