// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/attest"
)

// entropyReady is the gate of invariant 6, passed before the first key is made.
// On a TEE the host may have shaped every other source that the guest kernel
// mixed, so the CPU must have instructions that the host cannot imitate; the
// kernel is told to use them (random.trust_cpu). Everywhere the kernel's own
// generator must be seeded: a key made before that may be one of few.
func entropyReady(platform string, cpuHasRandom bool, getrandom func([]byte, int) (int, error)) error {
	switch platform {
	case attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX:
		if !cpuHasRandom {
			return fmt.Errorf("entropy: the CPU offers no RDRAND and RDSEED on platform %s, where nothing else is out of the host's reach; the keep does not start", platform)
		}
	}
	var b [1]byte
	n, err := getrandom(b[:], unix.GRND_NONBLOCK)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return errors.New("entropy: the kernel's random generator is not seeded yet; the keep does not start")
	case err != nil:
		return fmt.Errorf("entropy: getrandom: %w", err)
	case n != 1:
		return errors.New("entropy: getrandom gave nothing")
	}
	return nil
}
