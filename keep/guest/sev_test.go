// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/internal/guestport"
)

// sevFirmware is the firmware of platform snp, and where it expects QEMU's table
// of hashes (its footer says so, entry 7255371f-3a3b-4b04-927b-1da6efa8d454).
func sevFirmware(t *testing.T) (path string, table uint64) {
	t.Helper()
	path = imagetest.SEVFirmware(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The entry is: base (4 bytes), size (4), length of the entry (2), GUID (16),
	// read backwards from the end (edk2, OvmfPkg/ResetVector).
	id := guidBytes("7255371f-3a3b-4b04-927b-1da6efa8d454")
	for at := len(b) - 4096; at+26 <= len(b); at++ {
		if string(b[at+10:at+26]) == string(id) {
			return path, uint64(binary.LittleEndian.Uint32(b[at:]))
		}
	}
	t.Fatalf("%s has no place for a table of hashes", path)
	return "", 0
}

// guidBytes is a GUID as UEFI stores it: the first three fields little endian.
func guidBytes(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		return make([]byte, 16) // which nothing matches
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5], b[6], b[7] = b[5], b[4], b[7], b[6]
	return b
}

// hashesTable is what QEMU makes with kernel-hashes=on (target/i386/sev.c).
func hashesTable(kernel, initrd []byte, cmdline string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(guidBytes("9438d606-4f22-4cc9-b479-a793d411fd21"), 18+3*50)
	for _, e := range []struct {
		id   string
		data []byte
	}{
		{"97d02dd8-bd20-4c94-aa78-e7714d36ab2a", append([]byte(cmdline), 0)},
		{"44baf731-3a2f-4bd7-9af1-41e29169781d", initrd},
		{"4de79437-abd2-427f-b835-d5b172d2045b", kernel},
	} {
		d := sha256.Sum256(e.data)
		b = le.AppendUint16(append(b, guidBytes(e.id)...), 50)
		b = append(b, d[:]...)
	}
	return append(b, make([]byte, -len(b)&15)...)
}

// TestSEVFirmwareBootsTheImage boots the image in the firmware and with the
// command line of platform snp, with nothing encrypted. What the CPU would add
// is missing; what the firmware does with QEMU's table of hashes, which the
// launch digest covers, is real: it boots the kernel, initrd and command line of
// the table and no others.
func TestSEVFirmwareBootsTheImage(t *testing.T) {
	firmware, at := sevFirmware(t)
	i := imagetest.Image(t, imagetest.Options{Init: testKeep(t)})
	read := func(name string) []byte {
		b, err := os.ReadFile(i.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	kernel, initrd, cmdline := read(image.FileKernel), read(image.FileInitrd), i.Manifest.CmdlineSNP
	boot := func(table []byte) *machine {
		file := filepath.Join(t.TempDir(), "table")
		if err := os.WriteFile(file, table, 0o600); err != nil {
			t.Fatal(err)
		}
		return start(t, options{image: i, qemu: imagetest.SNPQEMU(t), cmdline: cmdline, memory: "512", args: []string{
			"-L", "/usr/share/qemu", "-bios", firmware, "-device", fmt.Sprintf("loader,file=%s,addr=%#x,force-raw=on", file, at)}})
	}
	began := time.Now()
	m := boot(hashesTable(kernel, initrd, cmdline))
	if got := m.say("echo hello"); got != "hello" {
		t.Fatalf("the firmware does not boot what its table names: %s", got)
	}
	took := time.Since(began)
	m.say("exit 5")
	// Without ACPI, a QEMU that is new enough for snp lets the guest power off.
	checkGoodbye(t, m.gone(), 5, guestport.ReasonExited, "guest-shutdown")
	// One byte of the initrd is another.
	other := append([]byte(nil), initrd...)
	other[len(other)/2] ^= 1
	m = boot(hashesTable(kernel, other, cmdline))
	m.port.SetDeadline(time.Now().Add(took + 5*time.Second))
	fmt.Fprintln(m.port, "echo hello")
	if got, err := m.lines.ReadString('\n'); err == nil {
		t.Errorf("the firmware boots an initrd that its table does not name: %s", got)
	}
}
