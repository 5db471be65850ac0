// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/guestport"
	"github.com/enarx/enarx-go/internal/sandbox"
)

// IsInit says whether this is the first process of a machine, started by the
// kernel from an image. (The first process of a container or of platform
// process's namespace is 1 too, and has another name.)
func IsInit() bool {
	return os.Getpid() == 1 && len(os.Args) > 0 && os.Args[0] == "/init"
}

// machine is the first process's whole state.
type machine struct {
	log     *os.File // the kernel's log; nil but in a debug image
	rooted  bool     // its root directory is in place
	words   words
	port    *os.File // the sallyport, until the Keep has it
	devices devices
	end     ending
}

// Main is the life of the machine: boot, start the Keep, wait for its end,
// report it, power off. It does not return.
func Main() {
	m := &machine{}
	bye, err := m.life()
	if err != nil {
		m.explain(err)
		bye = guestport.Goodbye{Status: 1, Reason: "the machine did not start the Keep: " + err.Error()}
	}
	m.words.goodbye(bye)
	m.end.powerOff()
	// The first process must not end; if it does, the kernel panics, which
	// the host sees too.
	os.Exit(1)
}

// explain says why there is no Keep, to a host that may not have been found yet.
func (m *machine) explain(err error) {
	fmt.Fprintln(os.Stderr, "keep: machine:", err) // nobody hears it in production
	if m.words.port == nil && m.rooted {
		m.words.port, _ = openPort(guestport.Words, time.Now().Add(wordTimeout))
	}
	fmt.Fprintf(&m.words, "keep: machine: %v\n", err)
}

func (m *machine) life() (guestport.Goodbye, error) {
	if err := m.boot(); err != nil {
		return guestport.Goodbye{}, err
	}
	spec, err := newSpec(sandbox.Probe())
	if err != nil {
		return guestport.Goodbye{}, err
	}
	if err := setLimits(spec.Limits); err != nil {
		return guestport.Goodbye{}, err
	}
	arg, files := m.devices.handOver()
	p, err := startParent(m.port, arg, files)
	if err != nil {
		return guestport.Goodbye{}, err
	}
	m.port.Close()
	m.devices.close()
	if err := apply(sysctls, lastSettings); err != nil {
		return guestport.Goodbye{}, err
	}
	if err := m.end.prepare(spec, m.devices.first()); err != nil {
		return guestport.Goodbye{}, err
	}
	m.devices.serve(m.logf)
	if err := p.send(spec); err != nil {
		return guestport.Goodbye{}, err
	}
	m.logf("the Keep has started")
	said := make(chan struct{})
	go func() {
		defer close(said)
		m.words.copyFrom(p.stderr)
	}()
	state, err := p.proc.Wait()
	if err != nil {
		return guestport.Goodbye{}, fmt.Errorf("wait for the Keep: %w", err)
	}
	<-said // its process namespace has ended: nobody else holds the pipe
	m.end.wipe()
	return m.end.of(state), nil
}

// boot makes the machine fit for a Keep and opens its ports.
func (m *machine) boot() error {
	if err := mountRoot(); err != nil {
		return err
	}
	if err := m.readCommandLine(); err != nil {
		return err
	}
	if err := loadModules(guestport.ModulesDir, unix.FinitModule); err != nil {
		return err
	}
	m.logf("the modules are loaded")
	if err := emptyInitrd(); err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	m.rooted = true
	if err := apply(sysctls, settings); err != nil {
		return err
	}
	if err := lockDown(); err != nil {
		return err
	}
	if err := m.muteConsole(); err != nil {
		return err
	}
	m.logf("the kernel is locked down")
	if err := awaitSeed(unix.Getrandom); err != nil {
		return err
	}
	if err := m.openPorts(); err != nil {
		return err
	}
	var err error
	if m.devices, err = openDevices(); err != nil {
		return err
	}
	m.logf("ports and devices are open")
	if err := checkNoNetwork("/sys/class/net"); err != nil {
		return err
	}
	return sealBuses("/sys")
}

// sysctls is the kernel's settings.
const sysctls = "/proc/sys"

func (m *machine) readCommandLine() error {
	cmdline, err := readSmall(newRoot + "/proc/cmdline")
	if err != nil {
		return fmt.Errorf("read the kernel's command line: %w", err)
	}
	if !slices.Contains(strings.Fields(cmdline), guestport.DebugWord) {
		return nil
	}
	if err := node(newRoot+"/dev/kmsg", 1, 11, 0o600); err != nil {
		return err
	}
	if m.log, err = os.OpenFile(newRoot+"/dev/kmsg", os.O_WRONLY, 0); err != nil {
		return fmt.Errorf("open the kernel's log: %w", err)
	}
	m.logf("this is a debug image")
	return nil
}

// logf writes to the kernel's log, and so to the console, in a debug image.
func (m *machine) logf(format string, args ...any) {
	if m.log != nil {
		fmt.Fprintf(m.log, "keep: "+format+"\n", args...)
	}
}

// muteConsole points the descriptors that the kernel left on its console away
// from it. In a debug image they stay.
func (m *machine) muteConsole() error {
	if m.log != nil {
		return nil
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	for fd := range 3 {
		if fd == null {
			continue
		}
		if err := unix.Dup3(null, fd, 0); err != nil {
			return fmt.Errorf("mute the console: %w", err)
		}
	}
	return nil
}

func (m *machine) openPorts() error {
	deadline := time.Now().Add(portTimeout)
	var err error
	if m.words.port, err = openPort(guestport.Words, deadline); err != nil {
		return err
	}
	if m.log != nil {
		fmt.Fprintln(&m.words, "keep: machine: this is a DEBUG image: its console and its log show what happens inside")
	}
	m.port, err = openPort(guestport.Sallyport, deadline)
	return err
}

// awaitSeed waits until the kernel's random generator is seeded: a key made
// before could be one of few.
func awaitSeed(getrandom func([]byte, int) (int, error)) error {
	var b [1]byte
	for deadline := time.Now().Add(seedTimeout); ; time.Sleep(pause) {
		n, err := getrandom(b[:], unix.GRND_NONBLOCK)
		switch {
		case err == nil && n == 1:
			return nil
		case err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("entropy: getrandom: %w", err)
		case time.Now().After(deadline):
			return fmt.Errorf("entropy: the kernel's random generator is not seeded after %v; give the machine a CPU with RDRAND", seedTimeout)
		}
	}
}
