// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
)

func TestInvariant6EntropyFromTheCPU(t *testing.T) {
	seeded := func(p []byte, flags int) (int, error) {
		if flags != unix.GRND_NONBLOCK {
			t.Errorf("getrandom with flags %#x: it must say whether the generator is seeded", flags)
		}
		return len(p), nil
	}
	unseeded := func([]byte, int) (int, error) { return -1, unix.EAGAIN }
	broken := func([]byte, int) (int, error) { return -1, unix.ENOSYS }
	nothing := func([]byte, int) (int, error) { return 0, nil }

	tees := []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX}
	others := []string{attest.PlatformProcess, attest.PlatformSim, attest.PlatformVM, attest.PlatformVTPM}
	for _, p := range tees {
		if err := entropyReady(p, false, seeded); err == nil || !strings.Contains(err.Error(), "RDRAND") {
			t.Errorf("%s without RDRAND: %v, expected that the keep does not start", p, err)
		}
		if err := entropyReady(p, true, seeded); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range others {
		if err := entropyReady(p, false, seeded); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range append(tees, others...) {
		if err := entropyReady(p, true, unseeded); err == nil || !strings.Contains(err.Error(), "not seeded") {
			t.Errorf("%s, unseeded: %v", p, err)
		}
		if entropyReady(p, true, broken) == nil || entropyReady(p, true, nothing) == nil {
			t.Errorf("%s: a generator that does not answer was accepted", p)
		}
	}
}
