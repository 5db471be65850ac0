// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

const (
	specReport   = `AMD 56860, "ATTESTATION_REPORT Structure"`
	specPolicy   = `AMD 56860, "Guest Policy"`
	specPlatform = `AMD 56860, "PLATFORM_INFO Field"`
	specTCB      = `AMD 56860, "TCB Version"`
)

// snpPolicy are the bits of the guest policy above the ABI version.
var snpPolicy = []bit{
	{16, "SMT", "The host may run other code on the second thread of the guest's cores.", "The guest refuses to run where the second thread of its cores is in use."},
	{17, "reserved", "Always one.", ""},
	{18, "MIGRATE_MA", "A migration agent, which is another guest, may move this guest's memory to another machine.", "No migration agent can be bound to the guest."},
	{19, "DEBUG", "The host may decrypt the guest's memory: nothing in it is secret.", "The host cannot use the firmware to read the guest's memory."},
	{20, "SINGLE_SOCKET", "The guest runs on one socket only.", "The guest may run on several sockets."},
	{21, "CXL_ALLOW", "Memory of the guest may lie on CXL devices.", "No memory of the guest lies on CXL devices."},
	{22, "MEM_AES_256_XTS", "Memory must be encrypted with AES-256-XTS.", "Memory may be encrypted with AES-128."},
	{23, "RAPL_DIS", "Power metering, a side channel, must be off.", "The host may measure power, which is a side channel."},
	{24, "CIPHERTEXT_HIDING_DRAM", "The host must not be able to read the ciphertext of the guest's memory.", "The host may read the ciphertext of the guest's memory and see when it changes."},
	{25, "PAGE_SWAP_DISABLE", "The host must not move or swap the guest's pages.", "The host may move and swap the guest's pages, encrypted."},
}

// snpPlatform are the bits of PLATFORM_INFO.
var snpPlatform = []bit{
	{0, "SMT_EN", "Cores of the machine run two threads.", "Cores of the machine run one thread."},
	{1, "TSME_EN", "All memory of the machine is encrypted, also that of no guest.", "Memory outside of guests is not encrypted by default."},
	{2, "ECC_EN", "The machine's memory corrects errors.", "The machine's memory does not correct errors, which makes flipping bits easier."},
	{3, "RAPL_DIS", "Power metering, a side channel, is off.", "Power metering, a side channel, is on."},
	{4, "CIPHERTEXT_HIDING_DRAM_EN", "The host cannot read the ciphertext of guests' memory.", "The host can read the ciphertext of guests' memory and see when it changes."},
	{5, "ALIAS_CHECK_COMPLETE", "The firmware has looked for memory modules that answer at two addresses (AMD-SB-3015, \"BadRAM\").",
		"The firmware has not looked for memory modules that answer at two addresses (AMD-SB-3015, \"BadRAM\")."},
	{7, "TIO_EN", "Trusted devices (SEV-TIO) are enabled.", ""},
}

// snpProduct names the product of family and model, and whether its TCB
// versions begin with the FMC (Turin and later).
func snpProduct(family, model byte) (name string, hasFMC bool) {
	switch {
	case family == 0x19 && model <= 0x0f:
		return "Milan", false
	case family == 0x19 && model >= 0x10 && model <= 0x1f:
		return "Genoa", false
	case family == 0x19 && model >= 0xa0 && model <= 0xaf:
		return "Bergamo or Siena, endorsed as Genoa", false
	case family == 0x1a && model <= 0x11:
		return "Turin", true
	case family >= 0x1a:
		return "unknown to this program, newer than Turin", true
	}
	return "unknown to this program", false
}

// snpLayout says how the TCB versions of a report are to be read, and why.
func snpLayout(b []byte, col attest.Collateral) (hasFMC bool, because string) {
	if version := le(b[:4]); version >= 3 {
		name, fmc := snpProduct(b[0x188], b[0x189])
		return fmc, "the CPU that the report names (" + name + ")"
	}
	for _, e := range col {
		c, err := x509.ParseCertificate(e.Value)
		if err != nil || e.MediaType != attest.MediaTypeCertificate {
			continue
		}
		for _, x := range c.Extensions {
			if x.Id.Equal(snpreport.OIDStructVersion) && len(x.Value) == 3 {
				return x.Value[2] >= 1, "the certificate beside the report"
			}
		}
	}
	return false, "the layout of Milan and Genoa: a report of version 2 does not say the CPU, and there is no certificate that does"
}

// snpTCB describes the 8 bytes of a TCB version.
func snpTCB(b []byte, at int, hasFMC bool) []Field {
	names := map[int]string{0: "boot loader", 1: "TEE", 6: "SNP", 7: "microcode"}
	if hasFMC {
		names = map[int]string{0: "FMC", 1: "boot loader", 2: "TEE", 3: "SNP", 7: "microcode"}
	}
	meanings := map[string]string{
		"FMC":         "Version of the first firmware that the security processor loads.",
		"boot loader": "Version of the security processor's boot loader.",
		"TEE":         "Version of the security processor's operating system.",
		"SNP":         "Version of the SNP firmware.",
		"microcode":   "Lowest version of the microcode of all cores.",
	}
	var fs []Field
	for i, v := range b {
		name, ok := names[i]
		if !ok && v == 0 {
			continue
		} else if !ok {
			name = fmt.Sprintf("reserved byte %d", i)
		}
		fs = append(fs, Field{Name: name, Offset: at + i, Size: 1, Value: fmt.Sprint(v), Meaning: meanings[name], Spec: specTCB})
	}
	return fs
}

// describeSNP describes an ATTESTATION_REPORT.
func describeSNP(b []byte, col attest.Collateral) (*Description, error) {
	if len(b) < snpreport.Size {
		return nil, malformed(formatSNP, "report of %d bytes, expected %d", len(b), snpreport.Size)
	}
	version := le(b[:4])
	d := &Description{Kind: formatSNP, Title: fmt.Sprintf("SEV-SNP attestation report, version %d", version)}
	if _, err := snpreport.Parse(b); err != nil {
		d.note("A verifier will refuse it: %v.", err)
	}
	hasFMC, because := snpLayout(b, col)
	d.note("Firmware levels are read in the layout of %s.", because)
	c := &cursor{b: b[:snpreport.Size], spec: specReport}
	tcb := func(name, meaning string) {
		at := c.at
		if v := c.raw(name, 8, meaning); v != nil {
			c.last().Fields = snpTCB(v, at, hasFMC)
		}
	}
	c.snpHead(tcb)
	c.snpIdentity(int(version), tcb)
	c.snpVersions(int(version), tcb)
	c.spec = `AMD 56860, "Signature Format"`
	r := c.take("SIGNATURE.R", 72)
	c.add("SIGNATURE.R", 72, hex.EncodeToString(r), "First number of the ECDSA P-384 signature over bytes 0 to 671, little-endian; not checked here.")
	s := c.take("SIGNATURE.S", 72)
	c.add("SIGNATURE.S", 72, hex.EncodeToString(s), "Second number of the signature.")
	c.skip(snpreport.Size - c.at)
	d.Fields = c.out
	return d, nil
}

// snpHead describes the first 80 bytes.
func (c *cursor) snpHead(tcb func(name, meaning string)) {
	c.number("VERSION", 4, "Version of the report; each adds fields to the one before.")
	c.number("GUEST_SVN", 4, "Version of the guest as its author states it in the ID block; 0 without one.")
	p := c.take("POLICY", 8)
	policy := le(p)
	f := c.add("POLICY", 8, fmt.Sprintf("%#x", policy), "What the guest's owner allows the host to do; measured with the guest and fixed for its life.")
	f.Fields = append([]Field{
		{Name: "ABI", Offset: 8, Size: 2, Value: fmt.Sprintf("%d.%d", p[1], p[0]), Spec: specPolicy,
			Meaning: "Lowest version of the firmware's interface that the guest agrees to run under."},
	}, bits(policy>>16<<16, specPolicy, snpPolicy)...)
	c.raw("FAMILY_ID", 16, "Name of the guest's family that its author gave in the ID block.")
	c.raw("IMAGE_ID", 16, "Name of the guest's image that its author gave in the ID block.")
	vmpl, _ := c.number("VMPL", 4, "Privilege level within the guest that asked for the report; 0 is the highest.")
	if vmpl == 1<<32-1 {
		c.last().Meaning = "The host itself asked for this report, not the guest: its report data is the host's word."
	}
	c.number("SIGNATURE_ALGO", 4, "1 is ECDSA P-384 with SHA-384, the only one that exists.")
	tcb("CURRENT_TCB", "Firmware level that runs; it may be newer than what the key vouches for.")
	info := le(c.take("PLATFORM_INFO", 8))
	c.add("PLATFORM_INFO", 8, fmt.Sprintf("%#x", info), "How the machine is set up; the host's owner decides this.").Fields = bits(info, specPlatform, snpPlatform)
	key := le(c.take("KEY_INFO", 4))
	c.add("KEY_INFO", 4, fmt.Sprintf("%#x", key), "Which key signs the report.").Fields = keyInfo(key)
	c.skip(4)
}

func keyInfo(v uint64) []Field {
	fs := bits(v&3, specReport, []bit{
		{0, "AUTHOR_KEY_EN", "The ID key was signed by an author key, whose digest is below.", "No author key: its digest below is zero."},
		{1, "MASK_CHIP_KEY", "The host hides the chip's own key, so the report is not signed with a VCEK.", ""},
	})
	name, meaning := "reserved", "No such key is known."
	switch v >> 2 & 7 {
	case snpreport.KeyVCEK:
		name, meaning = "VCEK", "Signed by the key of this chip at this firmware level."
	case snpreport.KeyVLEK:
		name, meaning = "VLEK", "Signed by a key that AMD gave to the cloud provider; the chip stays unnamed."
	case snpreport.KeyNone:
		name, meaning = "none", "Not signed at all: it proves nothing."
	}
	fs = append(fs, Field{Name: "SIGNING_KEY", Value: fmt.Sprintf("%d (%s)", v>>2&7, name), Meaning: meaning, Spec: specReport})
	if v>>5 != 0 {
		fs = append(fs, bits(v>>5<<5, specReport, nil)...)
	}
	return fs
}

// snpIdentity describes what was measured and who asked, up to the chip.
func (c *cursor) snpIdentity(version int, tcb func(name, meaning string)) {
	if b := c.raw("REPORT_DATA", 64, "64 bytes that whoever asked for the report chose: a nonce or the hash of a key ties it to a conversation."); b != nil {
		if t := printable(b); t != "" {
			c.last().Fields = []Field{{Name: "as text", Value: t}}
		}
	}
	c.raw("MEASUREMENT", 48, "SHA-384 digest of the guest's memory at launch: compare it with a release that you know.")
	c.raw("HOST_DATA", 32, "32 bytes that the host chose at launch; they cannot change later.")
	c.raw("ID_KEY_DIGEST", 48, "SHA-384 digest of the key that signed the guest's ID block; zero if there was none.")
	c.raw("AUTHOR_KEY_DIGEST", 48, "SHA-384 digest of the key that signed the ID key; zero if there was none.")
	c.raw("REPORT_ID", 32, "Random name of this guest for as long as it runs.")
	c.raw("REPORT_ID_MA", 32, "Name of the migration agent's guest; all ones if there is none.")
	tcb("REPORTED_TCB", "Firmware level that the signing key belongs to: the one to compare with the certificate.")
	if version >= 3 {
		b := c.take("CPUID", 3)
		name, _ := snpProduct(b[0], b[1])
		c.add("CPUID", 3, fmt.Sprintf("family %02xh, model %02xh, stepping %d", b[0], b[1], b[2]), "Which CPU it is: "+name+".")
		c.skip(21)
	} else {
		c.skip(24)
	}
	id := c.raw("CHIP_ID", 64, "Name of the chip, as in its VCEK; a short one is followed by zeroes.")
	if zero(id) {
		c.last().Meaning = "Zero: the host hides which chip it is, or the report is signed with a VLEK."
	}
}

// snpVersions describes the rest of what is signed.
func (c *cursor) snpVersions(version int, tcb func(name, meaning string)) {
	tcb("COMMITTED_TCB", "Level below which the machine's owner can no longer go back.")
	build := func(name, meaning string) {
		if b := c.take(name, 3); b != nil {
			c.add(name, 3, fmt.Sprintf("%d.%d build %d", b[2], b[1], b[0]), meaning)
		}
		c.skip(1)
	}
	build("CURRENT_VERSION", "Version of the SNP firmware that runs.")
	build("COMMITTED_VERSION", "Version of the SNP firmware below which there is no going back.")
	tcb("LAUNCH_TCB", "Firmware level when the guest was started, or moved here.")
	if version >= 5 {
		launch := le(c.take("LAUNCH_MIT_VECTOR", 8))
		c.add("LAUNCH_MIT_VECTOR", 8, fmt.Sprintf("%#x", launch), "Mitigations that the firmware had found in place when the guest started, one bit each (AMD's security bulletins name them).")
		now := le(c.take("CURRENT_MIT_VECTOR", 8))
		c.add("CURRENT_MIT_VECTOR", 8, fmt.Sprintf("%#x", now), "Mitigations that the firmware finds in place now.")
	}
	c.skip(snpreport.SignedSize - c.at)
}
