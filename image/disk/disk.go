// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package disk makes a disk that UEFI boots: a GUID partition table (UEFI
// Specification 2.10, chapter 5) with one EFI system partition, a FAT32 file
// system with the one file EFI/BOOT/BOOTX64.EFI, the name that firmware looks
// for on a disk it knows nothing about (section 3.5.1.1).
//
// The disk depends on that file and on nothing else: identifiers that other
// tools draw at random come from its digest, and times are FAT's first day.
package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	sector = 512
	// firstSector is where the partition begins: at 1 MiB, as all tools do.
	firstSector = 2048
	// tableSectors are the partition entries: 128 of 128 bytes.
	tableSectors = 32
	entrySize    = 128
	entries      = 128
)

var le = binary.LittleEndian

// espType is the type GUID of an EFI system partition,
// C12A7328-F81F-11D2-BA4B-00A0C93EC93B, as it is stored.
var espType = [16]byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}

// New returns a disk that boots the UEFI program.
func New(program []byte) ([]byte, error) {
	if len(program) == 0 || len(program) > maxProgram {
		return nil, fmt.Errorf("disk: a program of %d bytes, expected 1 to %d", len(program), maxProgram)
	}
	f := layout(len(program))
	// The end of the disk is again at 1 MiB, behind the second table.
	last := firstSector + f.sectors
	total := (last + tableSectors + 1 + firstSector - 1) / firstSector * firstSector
	disk := make([]byte, total*sector)
	id := sha256.Sum256(program)
	f.write(disk[firstSector*sector:last*sector], program, le.Uint32(id[28:]))
	writeTables(disk, last-1, id)
	return disk, nil
}

// writeTables writes the protective MBR and both partition tables.
func writeTables(disk []byte, lastSector int, id [32]byte) {
	total := len(disk) / sector
	mbr := disk[446:]
	mbr[1], mbr[2], mbr[3] = 0, 2, 0 // first sector in cylinders and heads
	mbr[4] = 0xee                    // GPT protective
	mbr[5], mbr[6], mbr[7] = 0xff, 0xff, 0xff
	le.PutUint32(mbr[8:], 1)
	le.PutUint32(mbr[12:], uint32(total-1))
	disk[510], disk[511] = 0x55, 0xaa

	table := make([]byte, tableSectors*sector)
	copy(table, espType[:])
	part := guid(id[:16])
	copy(table[16:], part[:])
	le.PutUint64(table[32:], firstSector)
	le.PutUint64(table[40:], uint64(lastSector))
	for i, c := range "EFI system partition" {
		le.PutUint16(table[56+2*i:], uint16(c))
	}
	whole := sha256.Sum256(id[:])
	copy(disk[2*sector:], table)
	copy(disk[(total-1-tableSectors)*sector:], table)
	header(disk[sector:], table, whole, 1, total-1, 2, total)
	header(disk[(total-1)*sector:], table, whole, total-1, 1, total-1-tableSectors, total)
}

// header writes a GPT header to sector here, whose twin is at sector other.
func header(b, table []byte, id [32]byte, here, other, tableAt, total int) {
	const size = 92
	copy(b, "EFI PART")
	le.PutUint32(b[8:], 0x10000) // revision 1.0
	le.PutUint32(b[12:], size)
	le.PutUint64(b[24:], uint64(here))
	le.PutUint64(b[32:], uint64(other))
	le.PutUint64(b[40:], 2+tableSectors)               // first usable sector
	le.PutUint64(b[48:], uint64(total-2-tableSectors)) // last usable sector
	disk := guid(id[:16])
	copy(b[56:], disk[:])
	le.PutUint64(b[72:], uint64(tableAt))
	le.PutUint32(b[80:], entries)
	le.PutUint32(b[84:], entrySize)
	le.PutUint32(b[88:], crc32.ChecksumIEEE(table))
	le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:size]))
}

// guid makes a GUID of a digest: version 8, "custom" (RFC 9562, section 5.8).
func guid(b []byte) (g [16]byte) {
	copy(g[:], b)
	g[7] = g[7]&0x0f | 0x80 // stored in little endian, so the version is here
	g[8] = g[8]&0x3f | 0x80
	return g
}
