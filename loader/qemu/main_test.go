// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"os"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/loadertest"
)

// What the process that the suite kills starts its Keep with.
const (
	imageEnv     = "ENARX_TEST_IMAGE"
	platformEnv  = "ENARX_TEST_PLATFORM"
	authorityEnv = "ENARX_TEST_TPM_AUTHORITY"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == takenOver {
		os.Exit(misbehave(os.Args[2:]))
	}
	os.Exit(loadertest.Main(m, func() loader.Loader {
		l, err := New(Options{Platform: os.Getenv(platformEnv), Image: os.Getenv(imageEnv), Accel: AccelTCG, TPMAuthority: os.Getenv(authorityEnv)})
		if err != nil {
			panic(err) // only in the process that plays the loader's
		}
		return l
	}))
}

// testKeep builds the test Keep and an image that boots it.
func testKeep(t *testing.T) (keep, dir string) {
	t.Helper()
	imagetest.QEMU(t)
	keep, err := loadertest.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return keep, imagetest.Image(t, imagetest.Options{Init: keep}).Dir
}

// testLoader gives a loader that has read what it starts machines from.
func testLoader(t *testing.T, o Options) *Loader {
	t.Helper()
	o.Accel = AccelTCG
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.source(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// harness is a suite's for a platform.
func harness(t *testing.T, platform string) loadertest.Harness {
	t.Helper()
	keep, dir := testKeep(t)
	o := Options{Platform: platform, Image: dir}
	t.Setenv(imageEnv, dir)
	t.Setenv(platformEnv, platform)
	if platform == attest.PlatformVTPM {
		imagetest.Tool(t, "swtpm")
		imagetest.Tool(t, "swtpm_setup")
		o.TPMAuthority = t.TempDir() + "/authority"
		t.Setenv(authorityEnv, o.TPMAuthority)
	}
	l := testLoader(t, o)
	return loadertest.Harness{
		Loader: func() loader.Loader { return l }, Keep: keep, MemoryBytes: minMemory,
		Codes: []int{0, 255}, Many: 8, Patience: 90 * time.Second, EndWithLoader: true,
	}
}

// TestSuiteVM runs the suite of all loaders on platform vm.
func TestSuiteVM(t *testing.T) { loadertest.Run(t, harness(t, attest.PlatformVM)) }

// TestSuiteVTPM runs the part of it in which platform vtpm differs: firmware
// and a TPM before, a second process beside, more to remove after. Crashes are
// tried at every step of the start; a boot takes too long to have them after it.
func TestSuiteVTPM(t *testing.T) {
	h := harness(t, attest.PlatformVTPM)
	h.Many, h.Codes, h.MemoryBytes, h.Records = 2, []int{7}, 0, 3
	h.Leave = []string{"Kill", "CleanupAfterCrash", "StderrIsBounded", "EndsWithItsSallyport", "RecordComesFirst", "ChannelBothWays"}
	loadertest.Run(t, h)
}
