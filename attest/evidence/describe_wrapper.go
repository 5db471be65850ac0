// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

const (
	specHCL  = "OpenHCL, attestation report of the virtual TPM"
	specTPMS = "TCG TPM 2.0 Library, part 2, section 10.12 (TPMS_ATTEST)"
)

// DescribeWrapper decodes what [Find] knows and gives no evidence out of, or
// takes apart on the way: an HCL report of Azure with its runtime data, and a
// statement of a TPM. Anything else is [ErrUnknown].
func DescribeWrapper(file []byte) (*Description, error) {
	if err := checkSize(file); err != nil {
		return nil, err
	}
	var d *Description
	switch {
	case bytes.HasPrefix(file, hclMagic):
		h, err := parseHCL(file)
		if err != nil {
			return nil, &Error{Format: formatHCL, Reason: attest.ReasonFormat, Err: err}
		}
		d = describeHCL(file, h)
	case bytes.HasPrefix(file, tpmMagic):
		d = describeTPM(file)
	default:
		return nil, fmt.Errorf("%w: expected an HCL report or a statement of a TPM", ErrUnknown)
	}
	uniqueNames(d.Fields)
	return d, nil
}

func describeHCL(file []byte, h *hcl) *Description {
	d := &Description{Kind: formatHCL, Title: fmt.Sprintf("HCL report of Azure, header version %d", h.version)}
	c := &cursor{b: file, spec: specHCL}
	c.raw("signature", 4, "The letters HCLA.")
	c.number("version", 4, "Version of the header.")
	c.number("report size", 4, "Size of the whole without padding.")
	c.number("request type", 4, "What was asked for; 2 is a report for the virtual TPM.")
	c.skip(16)
	if h.kind == hclTypeTDX {
		c.group("TD report", "What the TDX module says of the trust domain; its code checks it on this machine only.", c.tdReport)
	} else {
		c.add("SNP report", 0, fmt.Sprintf("%d bytes", snpreport.Size), "What the security processor says of the guest.").Size = snpreport.Size
		c.at += snpreport.Size
	}
	c.number("runtime data size", 4, "Size of the runtime data with its own header.")
	c.number("runtime data version", 4, "")
	c.number("report type", 4, "2 is SNP, 4 is TDX.")
	c.number("hash type", 4, "Which hash of the runtime data is in the report data: 1 is SHA-256, 2 SHA-384, 3 SHA-512.")
	c.number("variable data size", 4, "Size of the JSON that follows.")
	at := c.at
	if b := c.take("runtime data", len(h.runtime)); b != nil {
		f := c.add("runtime data", len(b), fmt.Sprintf("%d bytes of JSON", len(b)), "What the paravisor vouches for: the virtual TPM's keys and how the guest is set up.")
		o, err := parseObject(b)
		if err != nil {
			f.Value, f.Meaning = hex.EncodeToString(b[:min(len(b), maxText)]), "Not JSON, as it should be."
		}
		for _, key := range keysOfObject(o) {
			f.Fields = append(f.Fields, text(shown(key), string(o[key]), "", specHCL))
		}
		f.Offset = at
	}
	d.Fields = c.out
	return d
}

// tdReport describes a TDREPORT of 1,024 bytes, and what of the 1,184 bytes of
// the HCL report's field is left.
func (c *cursor) tdReport() {
	start := c.at
	c.spec = specTD
	c.raw("REPORTTYPE", 4, "81h is a TD.")
	c.skip(12)
	c.raw("CPUSVN", 16, "Security level of CPU and microcode.")
	c.raw("TEE_TCB_INFO_HASH", 48, "SHA-384 digest of what the report says of the TDX module.")
	c.raw("TEE_INFO_HASH", 48, "SHA-384 digest of what the report says of the TD.")
	c.raw("REPORTDATA", 64, "64 bytes that the paravisor chose: the hash of the runtime data below.")
	c.skip(32)
	c.raw("MAC", 32, "Code by a key of this CPU: nobody else can check it.")
	c.raw("TEE_TCB_INFO", 239, "Level and signer of the TDX module.")
	c.skip(17)
	if b := c.take("ATTRIBUTES", 8); b != nil {
		c.add("ATTRIBUTES", 8, fmt.Sprintf("%#x", le(b)), "What the host may do to the TD.").Fields = bits(le(b), `Intel TDX Module ABI, "TD_ATTRIBUTES"`, tdAttributes)
	}
	if b := c.take("XFAM", 8); b != nil {
		c.add("XFAM", 8, fmt.Sprintf("%#x (%s)", le(b), features(le(b))), "CPU features that the TD may use.")
	}
	for _, x := range [][2]string{
		{"MRTD", "SHA-384 digest of the TD's first memory, in practice its firmware."},
		{"MRCONFIGID", "Start configuration that the host chose."}, {"MROWNER", "Owner that the host named."},
		{"MROWNERCONFIG", "Configuration of the owner that the host named."},
		{"RTMR0", "Register of the firmware."}, {"RTMR1", "Register of the firmware and boot loader."},
		{"RTMR2", "Register of the boot loader and system."}, {"RTMR3", "Register for the TD's own use."},
		{"SERVTD_HASH", "Service TDs that are bound to this one; zero if there are none."},
	} {
		c.raw(x[0], 48, x[1])
	}
	c.skip(start + hclReport - c.at)
	c.spec = specHCL
}

var tpmMagic = []byte{0xff, 'T', 'C', 'G'}

// describeTPM describes a TPMS_ATTEST. Integers are big-endian.
func describeTPM(b []byte) *Description {
	d := &Description{Kind: "tpm-attestation", Title: "statement of a TPM"}
	c := &cursor{b: b, spec: specTPMS}
	c.raw("magic", 4, "Made by a TPM: it signs nothing else that begins so.")
	kind := c.big("type", 2, "")
	if len(c.out) == 2 {
		c.last().Value = fmt.Sprintf("%#x", kind)
		c.last().Meaning = map[uint64]string{0x8018: "A quote of registers.", 0x801a: "That an object was created in this TPM.", 0x8017: "That a key is in this TPM."}[kind]
	}
	c.sized("qualifiedSigner", "Name of the key that signed it.")
	c.sized("extraData", "Nonce of whoever asked.")
	c.big("clock", 8, "Milliseconds that the TPM has been on; obscured for keys outside of the endorsement hierarchy.")
	c.big("resetCount", 4, "Number of resets; obscured as well.")
	c.big("restartCount", 4, "Number of restarts; obscured as well.")
	c.raw("safe", 1, "1: the clock has not gone back.")
	c.raw("firmwareVersion", 8, "Version of the TPM's firmware; tells implementations apart.")
	if kind == 0x8018 {
		n := c.big("selections", 4, "Number of banks of registers.")
		for i := uint64(0); i < n && i < 8 && c.short == ""; i++ {
			c.big(fmt.Sprintf("hash %d", i+1), 2, "Bank: 4 is SHA-1, 11 SHA-256, 12 SHA-384, 13 SHA-512.")
			size := c.big(fmt.Sprintf("size %d", i+1), 1, "")
			c.raw(fmt.Sprintf("registers %d", i+1), int(min(size, 32)), "One bit for each register that was quoted, the lowest first.")
		}
		c.sized("pcrDigest", "Digest of the registers that were quoted, one after the other.")
	} else if rest := len(b) - c.at; rest > 0 && c.short == "" {
		c.raw("attested", rest, "What is stated, in a form of its own.")
	}
	if c.short != "" {
		d.note("It ends within %s.", c.short)
	} else if c.at < len(b) {
		d.note("%d bytes follow it.", len(b)-c.at)
	}
	d.Fields = c.out
	return d
}

// big adds a big-endian number of n bytes.
func (c *cursor) big(name string, n int, meaning string) uint64 {
	b := c.take(name, n)
	if b == nil {
		return 0
	}
	var buf [8]byte
	copy(buf[8-n:], b)
	v := binary.BigEndian.Uint64(buf[:])
	c.add(name, n, fmt.Sprint(v), meaning)
	return v
}

// sized adds bytes whose length stands before them (TPM2B).
func (c *cursor) sized(name, meaning string) {
	if n := c.big(name+" size", 2, ""); c.short == "" {
		c.raw(name, int(n), meaning)
	}
}
