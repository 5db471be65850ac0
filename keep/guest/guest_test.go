// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/internal/guestport"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestModulesAreLoadedInOrder(t *testing.T) {
	dir := tree(t, map[string]string{"00-b.ko": "b", "01-a-c.ko.xz": "a", "10-sev-guest.ko.xz": "s", "02-in.ko": "i"})
	var got []string
	load := func(fd int, params string, flags int) error {
		var b [1]byte
		if _, err := unix.Read(fd, b[:]); err != nil || params != "" {
			t.Errorf("%v, %q", err, params)
		}
		got = append(got, fmt.Sprintf("%s%d", b, flags))
		return map[string]error{"i": unix.EEXIST, "s": unix.ENODEV}[string(b[:])]
	}
	if err := loadModules(dir, load); err != nil {
		t.Error(err)
	}
	if want := []string{"b0", "a4", "i0", "s4"}; !slices.Equal(got, want) {
		t.Errorf("loaded %v, expected %v", got, want)
	}
	if err := loadModules(dir+"/none", load); err != nil {
		t.Errorf("an image without modules: %v", err)
	}
}

func TestBadModulesEndTheBoot(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		err  error
	}{
		"hardware that must be there": {"00-virtio_pci.ko", unix.ENODEV},
		"missing symbol":              {"00-tsm.ko", unix.ENOENT},
		"signature":                   {"00-tsm.ko", unix.EKEYREJECTED},
		"no number":                   {"tsm.ko", nil},
		"no module":                   {"00-tsm.txt", nil},
		"no name":                     {"00-.ko", nil},
		"other compression":           {"00-tsm.ko.gz", nil},
	} {
		dir := tree(t, map[string]string{c.file: "x"})
		err := loadModules(dir, func(int, string, int) error { return c.err })
		if err == nil || !errors.Is(err, c.err) && c.err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := tree(t, map[string]string{"00-big.ko": strings.Repeat("x", maxModule+1)})
	if err := loadModules(dir, func(int, string, int) error { return nil }); err == nil {
		t.Error("a module of more than the limit was loaded")
	}
	many := map[string]string{}
	for i := range maxModules + 1 {
		many[fmt.Sprintf("%03d-m.ko", i)] = "x"
	}
	if err := loadModules(tree(t, many), func(int, string, int) error { return nil }); err == nil {
		t.Error("more modules than the limit were loaded")
	}
}

func TestPortsAreFoundByName(t *testing.T) {
	class := tree(t, map[string]string{
		"vport0p1/name": "enarx.words\n", "vport0p2/name": "enarx.sallyport\n", "vport0p3/name": "enarx.sallyport.not\n", "vport0p4/x": ""})
	for name, want := range map[string]string{guestport.Words: "vport0p1", guestport.Sallyport: "vport0p2"} {
		if dir, err := findPort(class, name); err != nil || filepath.Base(dir) != want {
			t.Errorf("%s: %s, %v, expected %s", name, dir, err, want)
		}
	}
	if _, err := findPort(class, "enarx"); !errors.Is(err, errNoPort) {
		t.Errorf("a port that is not there: %v", err)
	}
}

// A host decides how many ports there are, and what they are called.
func TestInvariant4HostileInputIsBounded_Ports(t *testing.T) {
	twice := tree(t, map[string]string{"vport0p1/name": guestport.Words, "vport1p1/name": guestport.Words})
	if _, err := findPort(twice, guestport.Words); err == nil || errors.Is(err, errNoPort) {
		t.Errorf("two ports of one name: %v", err)
	}
	many := map[string]string{}
	for i := range maxPorts + 1 {
		many[fmt.Sprintf("vport0p%d/name", i)] = "x"
	}
	many["vport0p0/name"] = guestport.Words
	if _, err := findPort(tree(t, many), guestport.Words); err == nil || errors.Is(err, errNoPort) {
		t.Errorf("more ports than the limit: %v", err)
	}
	long := tree(t, map[string]string{"vport0p1/name": strings.Repeat("x", maxSmallFile+1)})
	if _, err := findPort(long, guestport.Words); !errors.Is(err, errNoPort) {
		t.Errorf("a port with a long name: %v", err)
	}
	for _, s := range []string{"", "1", "0:1", "4096:1", "1:1048576", "1:2:3", "-1:2", "1:2 3", "a:b"} {
		if major, minor, err := parseDev(s); err == nil {
			t.Errorf("device %q is %d:%d", s, major, minor)
		}
	}
	if major, minor, err := parseDev("247:12"); err != nil || major != 247 || minor != 12 {
		t.Errorf("%d:%d, %v", major, minor, err)
	}
}

func TestPortWithoutAHostIsWaitedFor(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	if err := awaitHost(pair[0], time.Now()); err != nil {
		t.Errorf("a connected port: %v", err)
	}
	unix.Close(pair[1])
	began := time.Now()
	if err := awaitHost(pair[0], began.Add(20*time.Millisecond)); err == nil || time.Since(began) < 20*time.Millisecond {
		t.Errorf("a port without a host: %v after %v", err, time.Since(began))
	}
}

func TestGoodbyeSaysHowItEnded(t *testing.T) {
	for name, c := range map[string]struct {
		ws   syscall.WaitStatus
		oom  bool
		want guestport.Goodbye
	}{
		"good":        {0, false, guestport.Goodbye{Status: 0, Reason: "exited"}},
		"status":      {7 << 8, false, guestport.Goodbye{Status: 7, Reason: "exited"}},
		"killed":      {syscall.WaitStatus(unix.SIGKILL), false, guestport.Goodbye{Status: 137, Reason: "killed"}},
		"forbidden":   {syscall.WaitStatus(unix.SIGSYS), false, guestport.Goodbye{Status: 159, Reason: "killed for a forbidden system call"}},
		"memory":      {syscall.WaitStatus(unix.SIGKILL), true, guestport.Goodbye{Status: 137, Reason: "out of memory"}},
		"child's end": {0, true, guestport.Goodbye{Status: 0, Reason: "out of memory"}},
	} {
		if got := goodbyeOf(c.ws, c.oom); got != c.want {
			t.Errorf("%s: %+v, expected %+v", name, got, c.want)
		}
	}
	for text, want := range map[string]uint64{"": 0, "pgfree 1\noom_kill 2\nx 3\n": 2, "oom_kill x\n": 0, "thp_oom_kill 5\n": 0} {
		if got := oomKills(text); got != want {
			t.Errorf("%q: %d, expected %d", text, got, want)
		}
	}
}

// wordsPair is a guest's port, and the host's end.
func wordsPair(t *testing.T) (*words, *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	host := os.NewFile(uintptr(pair[1]), "host")
	w := &words{port: os.NewFile(uintptr(pair[0]), "guest")}
	t.Cleanup(func() { host.Close(); w.port.Close() })
	return w, host
}

func TestWordsAndGoodbyeArrive(t *testing.T) {
	w, host := wordsPair(t)
	said := make(chan guestport.Goodbye, 1)
	var heard strings.Builder
	go func() {
		defer host.Close()
		for {
			f, err := guestport.ReadFrame(host)
			if err != nil {
				return
			}
			if f.Type == guestport.TypeWords {
				heard.Write(f.Payload)
				continue
			}
			g, _ := f.Goodbye()
			said <- g
			return
		}
	}()
	text := strings.Repeat("words of the Keep ", 1000)
	w.copyFrom(strings.NewReader(text))
	began := time.Now()
	w.goodbye(guestport.Goodbye{Status: 3, Reason: guestport.ReasonExited})
	if d := time.Since(began); d >= byeTimeout {
		t.Errorf("the guest waits %v though the host has hung up", d)
	}
	if g := <-said; g.Status != 3 || g.Reason != "exited" || heard.String() != text {
		t.Errorf("%+v after %d bytes of %d", g, heard.Len(), len(text))
	}
}

// A host that does not read holds nobody up, and gets nothing cut in two: after
// a frame that it did not take whole there is none.
func TestDeafHostHoldsNobodyUp(t *testing.T) {
	w, host := wordsPair(t)
	began := time.Now()
	for range 1000 {
		w.send(guestport.AppendWords(nil, make([]byte, guestport.MaxWords)), 20*time.Millisecond)
	}
	w.goodbye(guestport.Goodbye{})
	if d := time.Since(began); d > 5*time.Second || !w.deaf {
		t.Errorf("it took %v, deaf %v", d, w.deaf)
	}
	w.port.Close()
	for {
		f, err := guestport.ReadFrame(host)
		if err != nil {
			break
		}
		if f.Type != guestport.TypeWords {
			t.Fatalf("a frame of type %q after a part of one", f.Type)
		}
	}
	new(words).goodbye(guestport.Goodbye{}) // no port at all
}

func TestWaysToPowerOff(t *testing.T) {
	const events = "bus/pci/drivers/pvpanic-pci/0000:00:03.0/events"
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"ACPI":               {map[string]string{"firmware/acpi/tables/DSDT": ""}, true},
		"pvpanic, new QEMU":  {map[string]string{events: "0x7\n"}, true},
		"pvpanic, old QEMU":  {map[string]string{events: "0x3\n"}, false},
		"pvpanic, no number": {map[string]string{events: "yes"}, false},
		"nothing":            {map[string]string{"x": ""}, false},
	} {
		if got := canPowerOff(tree(t, c.files)); got != c.want {
			t.Errorf("%s: %v, expected %v", name, got, c.want)
		}
	}
}

// On snp, ACPI tables are the host's word, unmeasured, with code in them.
func TestHostsTablesAreRefusedOnSNP(t *testing.T) {
	sys := tree(t, map[string]string{"acpi/tables/DSDT": "", "other": ""})
	if err := checkNoACPI(sys + "/acpi"); err == nil || !strings.Contains(err.Error(), "acpi=off") {
		t.Errorf("with ACPI: %v", err)
	}
	if err := checkNoACPI(sys + "/none"); err != nil {
		t.Errorf("without: %v", err)
	}
	if err := checkNoACPI(sys + "/other/x"); err == nil {
		t.Error("it cannot be known, and passes")
	}
}

// TestInvariant5UntrustedClock_CountedByTheCPU: in a TEE, a kernel that counts
// time by anything of the host's starts no Keep.
func TestInvariant5UntrustedClock_CountedByTheCPU(t *testing.T) {
	const file = "devices/system/clocksource/clocksource0/current_clocksource"
	if err := useTSC(tree(t, map[string]string{file: "tsc\n"})); err != nil {
		t.Error(err)
	}
	sys := tree(t, map[string]string{file: "hpt"})
	if err := useTSC(sys); err != nil {
		t.Errorf("a kernel that takes it: %v", err)
	}
	// A write that changes nothing, as to a kernel that has no such source.
	stubborn := t.TempDir()
	if err := os.MkdirAll(filepath.Join(stubborn, filepath.Dir(file)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", filepath.Join(stubborn, file)); err != nil {
		t.Fatal(err)
	}
	for _, sys := range []string{stubborn, t.TempDir()} {
		if err := useTSC(sys); err == nil {
			t.Errorf("%s: a kernel without passes", sys)
		}
	}
}

func TestNetworkDeviceIsRefused(t *testing.T) {
	if err := checkNoNetwork(tree(t, map[string]string{"lo/x": ""})); err != nil {
		t.Error(err)
	}
	for _, class := range []string{tree(t, map[string]string{"lo/x": "", "eth0/x": ""}), "/none"} {
		if err := checkNoNetwork(class); err == nil {
			t.Errorf("%s passes", class)
		}
	}
}

func TestSettingsAreAllMadeOrTheBootEnds(t *testing.T) {
	files := map[string]string{}
	for _, s := range slices.Concat(settings, lastSettings) {
		if s.why == "" {
			t.Errorf("%s has no reason", s.name)
		}
		files[s.name] = "before"
	}
	root := tree(t, files)
	if err := apply(root, settings); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		b, err := os.ReadFile(filepath.Join(root, s.name))
		if err != nil || !strings.HasPrefix(string(b), s.value) {
			t.Errorf("%s is %q, %v", s.name, b, err)
		}
	}
	for _, s := range settings {
		path := filepath.Join(root, s.name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := apply(root, settings); (err == nil) != (s.since != "") {
			t.Errorf("without %s: %v", s.name, err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBusesAreSealed(t *testing.T) {
	sys := tree(t, map[string]string{"bus/pci/drivers_autoprobe": "1", "bus/virtio/drivers_autoprobe": "1"})
	if err := sealBuses(sys); err != nil {
		t.Fatal(err)
	}
	for _, bus := range []string{"pci", "virtio"} {
		if b, err := os.ReadFile(sys + "/bus/" + bus + "/drivers_autoprobe"); err != nil || string(b) != "0" {
			t.Errorf("%s: %q, %v", bus, b, err)
		}
	}
	if err := sealBuses(t.TempDir()); err == nil {
		t.Error("a kernel without buses passes")
	}
}

// TestInvariant6EntropyFromTheCPU_SeedIsAwaited: no key is made before the
// kernel's generator is seeded, and a machine where it never is starts no Keep.
func TestInvariant6EntropyFromTheCPU_SeedIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		seeded := func(b []byte, flags int) (int, error) {
			if flags != unix.GRND_NONBLOCK {
				t.Errorf("flags %#x", flags)
			}
			if time.Since(began) < time.Second {
				return 0, unix.EAGAIN
			}
			return len(b), nil
		}
		if err := awaitSeed(seeded); err != nil || time.Since(began) < time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		began = time.Now()
		if err := awaitSeed(func([]byte, int) (int, error) { return 0, unix.EAGAIN }); err == nil || time.Since(began) > 2*seedTimeout {
			t.Errorf("never seeded: %v after %v", err, time.Since(began))
		}
		if err := awaitSeed(func([]byte, int) (int, error) { return 0, unix.ENOSYS }); !errors.Is(err, unix.ENOSYS) {
			t.Errorf("%v", err)
		}
	})
}

func TestOnlyInitIsTheFirstProcess(t *testing.T) {
	if IsInit() {
		t.Error("a test is the first process of a machine")
	}
}

var _ io.Writer = (*words)(nil)
