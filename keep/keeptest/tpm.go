// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keeptest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/sandbox"
	"github.com/enarx/enarx-go/keep/quote"
	"github.com/enarx/enarx-go/loader"
)

// withTPM is a Keep that was started as the first process of a virtual machine
// does it, "keep vm" with devices, but on this host: everything of platform vtpm
// but the machine around it.
type withTPM struct {
	cmd     *exec.Cmd
	channel *os.File
	gone    chan struct{}
}

func startWithTPM(t testing.TB, bin string, cfg Config, stderr io.Writer) (loader.Keep, error) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	host := sandbox.Probe()
	spec, err := (&sandbox.Spec{LandlockABI: host.LandlockABI, Seccomp: host.Seccomp}).Encode()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	path := filepath.Join(t.TempDir(), "eventlog")
	if err := os.WriteFile(path, cfg.EventLog, 0o600); err != nil {
		return nil, err
	}
	log, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	theirs := os.NewFile(uintptr(pair[1]), "sallyport")
	defer theirs.Close()
	arg, devices := quote.HandOver(cfg.TPM, log, nil)
	k := &withTPM{channel: os.NewFile(uintptr(pair[0]), "sallyport"), gone: make(chan struct{})}
	k.cmd = exec.Command(bin, "vm", arg)
	k.cmd.Args[0], k.cmd.Dir, k.cmd.Env, k.cmd.Stderr = "keep", "/", sandbox.RuntimeEnv(""), stderr
	k.cmd.ExtraFiles = append([]*os.File{theirs, read}, devices...)
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", bin, err)
	}
	go func() { k.cmd.Wait(); close(k.gone) }()
	if _, err := write.Write(spec); err != nil {
		return nil, err
	}
	return k, write.Close()
}

func (k *withTPM) Channel() io.ReadWriteCloser { return k.channel }
func (k *withTPM) PID() int                    { return k.cmd.Process.Pid }
func (k *withTPM) Layers() []loader.Layer      { return nil }

func (k *withTPM) Kill() error {
	k.cmd.Process.Kill()
	return nil
}

func (k *withTPM) Wait(ctx context.Context) (loader.Exit, error) {
	select {
	case <-k.gone:
		return loader.Exit{Code: k.cmd.ProcessState.ExitCode(), Reason: k.cmd.ProcessState.String()}, nil
	case <-ctx.Done():
		return loader.Exit{}, ctx.Err()
	}
}
