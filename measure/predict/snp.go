// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

// SEVMode is the generation of AMD's encryption.
type SEVMode string

// The generations.
const (
	ModeSEV   SEVMode = "sev"
	ModeSEVES SEVMode = "sev-es"
	ModeSNP   SEVMode = "snp"
)

// SEVOptions are the parameters of an AMD launch beyond [Params]. The zero
// value is QEMU's launch of SNP.
type SEVOptions struct {
	Mode SEVMode // "" is SNP
	VMM  VMM     // "" is QEMU
	// Signature is the CPUID signature; 0 means that of Params.CPU.
	Signature uint32
	// Features is SEV_FEATURES of the save area; 0 means 1, SNP alone.
	Features uint64
	// FirmwareHash, if not nil, stands for the launch digest after the
	// firmware's own pages: with it Params.Firmware need not be the whole
	// image, only its end with the tables.
	FirmwareHash []byte
	// WithoutKernel says that the firmware finds a kernel by itself: there is
	// no table of hashes.
	WithoutKernel bool
}

// DefaultFeatures is SEV_FEATURES of QEMU's SNP guests: SNPActive. Kernels that
// also set DebugSwap (0x20) have launched guests with 0x21.
const DefaultFeatures = 0x1

// SNP predicts the launch digest of an SEV-SNP guest as QEMU starts it with
// -kernel, -initrd, -append and kernel-hashes=on.
func SNP(img Image, p Params) (*Prediction, error) { return SEV(img, p, SEVOptions{}) }

// SEV predicts the launch digest of a guest of one of AMD's generations.
func SEV(img Image, p Params, o SEVOptions) (*Prediction, error) {
	o = o.defaults()
	l, err := newSEVLaunch(img, p, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Mode, err)
	}
	if o.Mode == ModeSNP {
		err = l.snp()
	} else {
		err = l.sev()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Mode, err)
	}
	r := Register{Name: "launch digest", Value: l.digest, Events: l.events}
	return &Prediction{Platform: string(o.Mode), Measurement: bytes.Clone(l.digest), Registers: []Register{r}}, nil
}

func (o SEVOptions) defaults() SEVOptions {
	if o.Mode == "" {
		o.Mode = ModeSNP
	}
	if o.VMM == "" {
		o.VMM = QEMU
	}
	if o.Features == 0 {
		o.Features = DefaultFeatures
	}
	return o
}

// sevLaunch is a launch under way.
type sevLaunch struct {
	o         SEVOptions
	p         Params
	fw        *Firmware
	signature uint32
	hashes    *hashesTable // nil without a kernel
	digest    []byte
	events    []Event
}

func newSEVLaunch(img Image, p Params, o SEVOptions) (*sevLaunch, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	switch {
	case o.Mode != ModeSEV && o.Mode != ModeSEVES && o.Mode != ModeSNP:
		return nil, fmt.Errorf("mode %.20q, expected %s, %s or %s", o.Mode, ModeSEV, ModeSEVES, ModeSNP)
	case o.VMM != QEMU && o.VMM != EC2 && o.VMM != GCE:
		return nil, fmt.Errorf("monitor %.20q, expected %s, %s or %s", o.VMM, QEMU, EC2, GCE)
	case o.FirmwareHash != nil && (o.Mode != ModeSNP || len(o.FirmwareHash) != sha512.Size384):
		return nil, fmt.Errorf("firmware hash of %d bytes, expected %d, on SNP only", len(o.FirmwareHash), sha512.Size384)
	}
	fw, err := ParseFirmware(p.Firmware)
	if err != nil {
		return nil, err
	}
	l := &sevLaunch{o: o, p: p, fw: fw, signature: o.Signature}
	if l.signature == 0 && o.VMM == QEMU && o.Mode != ModeSEV {
		if l.signature, err = Signature(p.CPU); err != nil {
			return nil, err
		}
	}
	if o.WithoutKernel {
		return l, nil
	}
	if err := checkCmdline(img.Cmdline); err != nil {
		return nil, err
	}
	if gpa, _ := fw.number(guidHashesTable); gpa == 0 {
		return nil, fmt.Errorf("this firmware does not measure kernel, initrd and command line; take one that does, such as Debian's OVMF.amdsev.fd")
	}
	l.hashes = newHashesTable(img)
	return l, nil
}

// hashesTable is QEMU's table of hashes of what -kernel, -initrd and -append
// name (target/i386/sev.c, sev_add_kernel_loader_hashes).
type hashesTable struct{ cmdline, initrd, kernel [32]byte }

func newHashesTable(img Image) *hashesTable {
	return &hashesTable{
		cmdline: sha256.Sum256(append([]byte(img.Cmdline), 0)),
		initrd:  sha256.Sum256(img.Initrd),
		kernel:  sha256.Sum256(img.Kernel),
	}
}

var (
	guidHashes  = newGUID(0x9438d606, 0x4f22, 0x4cc9, 0xb479a793d411fd21)
	guidKernel  = newGUID(0x4de79437, 0xabd2, 0x427f, 0xb835d5b172d2045b)
	guidInitrd  = newGUID(0x44baf731, 0x3a2f, 0x4bd7, 0x9af141e29169781d)
	guidCmdline = newGUID(0x97d02dd8, 0xbd20, 0x4c94, 0xaa78e7714d36ab2a)
)

// bytes is the table, padded to 16 bytes as SEV's encryption wants it.
func (h *hashesTable) bytes() []byte {
	const entry, total = 16 + 2 + 32, 16 + 2 + 3*(16+2+32)
	le := binary.LittleEndian
	b := le.AppendUint16(bytes.Clone(guidHashes[:]), total)
	for _, e := range []struct {
		id     guid
		digest [32]byte
	}{{guidCmdline, h.cmdline}, {guidInitrd, h.initrd}, {guidKernel, h.kernel}} {
		b = le.AppendUint16(append(b, e.id[:]...), entry)
		b = append(b, e.digest[:]...)
	}
	return append(b, make([]byte, -len(b)&15)...)
}

func (h *hashesTable) events() []Event {
	const t = "entry of the hashes table"
	return []Event{
		{"command line", t, bytes.Clone(h.cmdline[:]), "SHA-256 of the command line and a NUL"},
		{"initrd", t, bytes.Clone(h.initrd[:]), "SHA-256 of the file"},
		{"kernel", t, bytes.Clone(h.kernel[:]), "SHA-256 of the file"},
	}
}

// resetEIP is where all processors but the first start.
func (l *sevLaunch) resetEIP() (uint32, error) {
	if l.p.VCPUs == 1 {
		return 0, nil
	}
	eip, ok := l.fw.number(guidResetBlock)
	if !ok {
		return 0, fmt.Errorf("firmware has no SEV-ES reset block, which %d vCPUs need", l.p.VCPUs)
	}
	return eip, nil
}

// vmsas calls f with the save area of each processor.
func (l *sevLaunch) vmsas(features uint64, f func(page []byte, e Event)) error {
	eip, err := l.resetEIP()
	if err != nil {
		return err
	}
	var ap []byte
	for i := range l.p.VCPUs {
		page, at := ap, eip
		if i == 0 {
			at = bootEIP
			page = vmsa(l.o.VMM, at, l.signature, features)
		} else if page == nil {
			ap = vmsa(l.o.VMM, at, l.signature, features)
			page = ap
		}
		f(page, Event{Component: fmt.Sprintf("vCPU %d", i), Type: "VMSA page",
			Detail: fmt.Sprintf("starts at %#x, CPU signature %#x, SEV_FEATURES %#x", at, l.signature, features)})
	}
	return nil
}

// sev computes the digest of SEV and SEV-ES: one hash over all that is loaded,
// in order (SEV API, document 55766, section 6.5).
func (l *sevLaunch) sev() error {
	h := sha256.New()
	add := func(b []byte, e Event) {
		h.Write(b)
		sum := sha256.Sum256(b)
		e.Digest = sum[:]
		l.events = append(l.events, e)
	}
	add(l.fw.image, Event{Component: "firmware", Type: "data", Detail: fmt.Sprintf("%d bytes", len(l.fw.image))})
	if l.hashes != nil {
		h.Write(l.hashes.bytes())
		l.events = append(l.events, l.hashes.events()...)
	}
	if l.o.Mode == ModeSEVES {
		if err := l.vmsas(0, add); err != nil {
			return err
		}
	}
	l.digest = h.Sum(nil)
	return nil
}
