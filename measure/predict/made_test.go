// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"encoding/binary"
	"fmt"
)

// madeSection is a section of a PE file that a test makes.
type madeSection struct {
	name string
	data []byte
}

// madePE is a small PE32+ file.
func madePE(sections ...madeSection) []byte {
	const align, pe, optional = 512, 64, 240
	le := binary.LittleEndian
	headers := (pe + peHeader + optional + len(sections)*peSectionHeader + align - 1) / align * align
	b := make([]byte, headers)
	copy(b, "MZ")
	le.PutUint32(b[peOffset:], pe)
	copy(b[pe:], "PE\x00\x00")
	le.PutUint16(b[pe+6:], uint16(len(sections)))
	le.PutUint16(b[pe+20:], optional)
	opt := pe + peHeader
	le.PutUint16(b[opt:], peMagic64)
	le.PutUint32(b[opt+peHeadersSize:], uint32(headers))
	le.PutUint32(b[opt+peDirCount:], 16)
	for i, s := range sections {
		h := b[opt+optional+i*peSectionHeader:]
		copy(h[:8], s.name)
		le.PutUint32(h[8:], uint32(len(s.data)))
		le.PutUint32(h[16:], uint32(len(s.data)+-len(s.data)&(align-1)))
		le.PutUint32(h[20:], uint32(len(b)))
		b = append(b, s.data...)
		b = append(b, make([]byte, -len(s.data)&(align-1))...)
	}
	return b
}

// madeKernel is a bzImage of which only the headers are real: a PE file with a
// Linux setup header between its DOS header and its PE header.
func madeKernel(version string) []byte {
	le := binary.LittleEndian
	b := madePE(madeSection{".text", []byte("code of " + version)})
	const grow = 0x400 // room for the setup header
	k := make([]byte, grow+len(b))
	copy(k, "MZ")
	copy(k[grow:], b)
	pe := grow + 64
	le.PutUint32(k[peOffset:], uint32(pe))
	opt := pe + peHeader
	le.PutUint32(k[opt+peHeadersSize:], le.Uint32(k[opt+peHeadersSize:])+grow)
	section := opt + 240
	le.PutUint32(k[section+20:], le.Uint32(k[section+20:])+grow)
	copy(k[setupMagic:], "HdrS")
	le.PutUint16(k[setupVersion:], 0x20f)
	le.PutUint16(k[setupKernelVer:], 0x300-0x200)
	copy(k[0x300:], version+"\x00")
	le.PutUint16(k[setupXLoad:], 2)
	le.PutUint32(k[setupInitrdMax:], 0x7fffffff)
	return k
}

// madeUKI is a UKI around a made kernel.
func madeUKI(stub int, kernel, initrd []byte, cmdline string) []byte {
	return madePE(
		madeSection{".text", []byte("stub")}, madeSection{".sdmagic", fmt.Appendf(nil, "%s%d.1 ####", stubMagic, stub)},
		madeSection{".osrel", []byte("ID=enarx\n")}, madeSection{".cmdline", []byte(cmdline)},
		madeSection{".initrd", initrd}, madeSection{".linux", kernel},
	)
}
