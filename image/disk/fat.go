// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package disk

// The file system is FAT32 ("FAT: General Overview of On-Disk Format", 1.03),
// which is what the UEFI Specification asks of a system partition.
const (
	reserved = 32 // sectors before the first FAT: boot sector, FSInfo, their copies
	fats     = 2
	// minClusters is what makes a file system FAT32: by the format's rule one
	// with fewer than 65,525 clusters is FAT16, whatever its header says.
	// Implementations differ by some, so there are a few more.
	minClusters = 65_525 + 75
	endOfChain  = 0x0fffffff
	media       = 0xf8 // fixed disk
	// epoch is 1980-01-01, the first day that FAT knows.
	epoch = 1<<5 | 1

	attrDirectory = 0x10
	attrVolume    = 0x08
	attrReadOnly  = 0x01
)

// fat is the layout of the file system.
type fat struct {
	clusters   int
	fatSectors int // of one FAT
	sectors    int // of the whole file system
}

// layout makes room for a file of size bytes, in clusters of one sector.
func layout(size int) fat {
	var f fat
	f.clusters = max(minClusters, 3+(size+sector-1)/sector) // three are directories
	f.fatSectors = ((f.clusters+2)*4 + sector - 1) / sector
	f.sectors = reserved + fats*f.fatSectors + f.clusters
	return f
}

// write writes the file system to b. Clusters are used in order: root, EFI,
// BOOT, then the file.
func (f fat) write(b, file []byte, volume uint32) {
	const root, efi, boot, first = 2, 3, 4, 5
	n := (len(file) + sector - 1) / sector
	f.bootSectors(b, volume, first+n)

	table := b[reserved*sector:][:f.fatSectors*sector]
	le.PutUint32(table, 0x0fffff00|media)
	le.PutUint32(table[4:], endOfChain)
	for _, c := range []int{root, efi, boot} {
		le.PutUint32(table[4*c:], endOfChain)
	}
	for i := range n {
		next := first + i + 1
		if i == n-1 {
			next = endOfChain
		}
		le.PutUint32(table[4*(first+i):], uint32(next))
	}
	copy(b[(reserved+f.fatSectors)*sector:], table)

	d := f.cluster(b, root)
	entry(d, "ENARX      ", attrVolume, 0, 0)
	entry(d[32:], "EFI        ", attrDirectory, efi, 0)
	d = f.cluster(b, efi)
	entry(d, ".          ", attrDirectory, efi, 0)
	entry(d[32:], "..         ", attrDirectory, 0, 0) // the root is written as 0
	entry(d[64:], "BOOT       ", attrDirectory, boot, 0)
	d = f.cluster(b, boot)
	entry(d, ".          ", attrDirectory, boot, 0)
	entry(d[32:], "..         ", attrDirectory, efi, 0)
	entry(d[64:], "BOOTX64 EFI", attrReadOnly, first, len(file))
	copy(f.cluster(b, first), file)
}

// cluster is b from a cluster on.
func (f fat) cluster(b []byte, n int) []byte {
	return b[(reserved+fats*f.fatSectors+n-2)*sector:]
}

// entry writes a directory entry. Its name is in the form 8+3.
func entry(b []byte, name string, attr byte, cluster, size int) {
	copy(b[:11], name)
	b[11] = attr
	le.PutUint16(b[16:], epoch) // made
	le.PutUint16(b[18:], epoch) // last read
	le.PutUint16(b[20:], uint16(cluster>>16))
	le.PutUint16(b[24:], epoch) // changed
	le.PutUint16(b[26:], uint16(cluster))
	le.PutUint32(b[28:], uint32(size))
}

// bootSectors writes the boot sector, FSInfo and their copies. next is the
// first free cluster.
func (f fat) bootSectors(b []byte, volume uint32, next int) {
	s := b[:sector]
	copy(s, "\xeb\x58\x90MSDOS5.0")
	le.PutUint16(s[11:], sector)
	s[13] = 1 // sectors per cluster
	le.PutUint16(s[14:], reserved)
	s[16] = fats
	s[21] = media
	le.PutUint16(s[24:], 32) // sectors per track, for programs that ask
	le.PutUint16(s[26:], 64) // heads
	le.PutUint32(s[28:], firstSector)
	le.PutUint32(s[32:], uint32(f.sectors))
	le.PutUint32(s[36:], uint32(f.fatSectors))
	le.PutUint32(s[44:], 2) // cluster of the root directory
	le.PutUint16(s[48:], 1) // sector of FSInfo
	le.PutUint16(s[50:], 6) // sector of the copy
	s[64] = 0x80            // drive number
	s[66] = 0x29            // the next three fields are there
	le.PutUint32(s[67:], volume)
	copy(s[71:], "ENARX      FAT32   ")
	s[510], s[511] = 0x55, 0xaa

	info := b[sector : 2*sector]
	copy(info, "RRaA")
	copy(info[484:], "rrAa")
	le.PutUint32(info[488:], uint32(f.clusters+2-next)) // free clusters
	le.PutUint32(info[492:], uint32(next))
	info[510], info[511] = 0x55, 0xaa
	b[2*sector+510], b[2*sector+511] = 0x55, 0xaa
	copy(b[6*sector:], b[:3*sector])
}
