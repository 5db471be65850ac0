// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package loader is the seam between the agent and the platforms: a Loader
// starts one Keep of one platform and hands back the sallyport's byte channel.
package loader

import (
	"context"
	"io"
	"os"
	"time"
)

// Dir is a live host directory that a local run lends to the guest. It is not
// measured and exists for platform process only.
type Dir struct {
	Host     string // absolute path on the host
	Guest    string // absolute path in the guest
	ReadOnly bool
}

// Spec is what a loader needs to start a Keep. It holds nothing of a workload.
type Spec struct {
	// ID names the Keep on this host; it appears in paths and cgroups.
	ID string
	// Keep is the Keep runtime's ELF, open for reading. The loader executes
	// exactly this file, not a path that may change.
	Keep *os.File
	// StateDir is an existing directory of mode 0700 that belongs to this
	// Keep alone; the loader removes what it makes in it.
	StateDir string
	// VCPUs and MemoryBytes are the Keep's size; 0 means the platform's
	// default. MemoryBytes is a power of two.
	VCPUs       int
	MemoryBytes uint64
	// Dirs and CacheDir are for local runs on platform process only; every
	// other platform refuses them.
	Dirs     []Dir
	CacheDir string // writable directory with at most this module's compiled code
	// HostData goes into the field of the evidence that the host fills (SNP
	// host data, TDX MRCONFIGID): the digest of the start configuration,
	// which in push names nothing of a workload. Platforms without such a
	// field ignore it.
	HostData [32]byte
	// Progress, if not nil, is told of every step of the start when it is
	// done, in a word or two; for platforms whose start takes seconds.
	Progress func(step string)
	// Stderr, if not nil, gets what the Keep runtime itself prints when it
	// fails (never the workload's output).
	Stderr io.Writer
}

// Exit says how the Keep's process or machine ended, as the host saw it.
type Exit struct {
	Code   int    // exit status of the process, -1 if ended by a signal
	Signal string // signal's name, if any
	Reason string // what happened in words: "exited", "killed", "out of memory", …
}

// Layer is one mechanism that isolates the Keep from its host.
type Layer struct {
	Name    string // "user namespace", "seccomp", "landlock", "cgroup memory", …
	Applied bool
	Detail  string // version or number; if not applied, why and how to get it
}

// Keep is a started Keep.
type Keep interface {
	// Channel is the sallyport's byte channel. The caller closes it.
	Channel() io.ReadWriteCloser
	// PID of the process that is or holds the Keep, on this host.
	PID() int
	// Layers are the isolation mechanisms, applied or not. One that is
	// listed as applied is in force before the Keep reads the first byte of
	// its sallyport, or the Keep ends.
	Layers() []Layer
	// Signal-free end: Kill ends the Keep at once and everything in it. It
	// may be called at any time, more than once.
	Kill() error
	// Wait returns when the Keep is gone and nothing of it is left: no
	// process, cgroup, socket or file but the caller's end of the channel,
	// from which the Keep's last words can still be read.
	Wait(ctx context.Context) (Exit, error)
}

// Check is one requirement of a platform on this machine.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Seen   string `json:"seen"`
	Remedy string `json:"remedy,omitempty"` // what is missing and how to get it
}

// Report says whether a platform works here.
type Report struct {
	Platform string `json:"platform"`
	Usable   bool   `json:"usable"`
	// Visible is one line that says who can see inside a Keep of it.
	Visible string  `json:"visible"`
	Checks  []Check `json:"checks"`
}

// Record is what a loader needs to find a Keep of a former life of the agent
// and remove every trace of it. It is written before the Keep starts.
type Record struct {
	ID        string   `json:"id"`
	Platform  string   `json:"platform"`
	PID       int      `json:"pid"`
	StartTime uint64   `json:"start_time"` // /proc/PID/stat field 22, clock ticks since boot
	StateDir  string   `json:"state_dir"`
	Cgroups   []string `json:"cgroups,omitempty"`
	// Helpers are further processes of the Keep, such as its TPM.
	Helpers []Process `json:"helpers,omitempty"`
	Made    time.Time `json:"made"`
}

// Process is a process of this host, not to be taken for a later one with the
// same number.
type Process struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // as in Record
}

// Timing is how long a platform's Keeps may take here, for callers whose own
// limits suit a process.
type Timing struct {
	// Start is the longest that Start may take, a second try included.
	Start time.Duration
	// Leave is how long a Keep that has said its last word may take to be
	// gone.
	Leave time.Duration
	// Work is how many times longer than on platform process the Keep's work
	// may take, 1 at least: where a CPU is emulated, compiling a large module
	// takes minutes.
	Work int
}

// Timed is implemented by loaders whose Keeps are slower than a process.
type Timed interface {
	Timing() Timing
}

// Costly is implemented by loaders whose Keeps take more of the host's memory
// than Spec.MemoryBytes.
type Costly interface {
	// Overhead is how many bytes more, at most.
	Overhead() uint64
}

// Loader starts Keeps of one platform.
type Loader interface {
	Platform() string
	// Probe says whether the platform works here and what is missing.
	Probe(ctx context.Context) Report
	// Start launches a Keep. record is called with what Cleanup would need
	// before anything outlives this process unnoticed, and again when more
	// is known. On error nothing is left behind.
	Start(ctx context.Context, spec Spec, record func(Record) error) (Keep, error)
	// Cleanup removes what a recorded Keep of a dead agent left. It must
	// not touch a process that merely has the same PID.
	Cleanup(ctx context.Context, r Record) error
}
