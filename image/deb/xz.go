// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package deb

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzReader unpacks one stream of the .xz file format 1.2.1. The container is
// read here and not by the library, which allocates whatever dictionary a
// block's header names, up to 4 GiB; the LZMA2 data in it are the library's.
type xzReader struct {
	in      *bytes.Reader
	check   byte
	block   io.Reader // LZMA2 data of the block, nil between blocks
	sum     hash.Hash // of the block's unpacked bytes; nil with check "none"
	size    uint64    // unpacked bytes of the block so far
	start   int       // bytes of in that were left at the block's beginning
	header  int       // bytes of the block's header
	declare [2]uint64 // packed and unpacked size that the header names, plus one; 0 if it does not
	index   []xzRecord
	left    int64 // bytes that may still be unpacked
	err     error
}

// xzRecord is a block's size in the file, without padding, and unpacked.
type xzRecord struct{ unpadded, unpacked uint64 }

const (
	xzMagic  = "\xfd7zXZ\x00"
	xzFooter = "YZ"
)

var errXZ = errors.New("xz: damaged or cut short")

// maxBlocks bounds the index: dpkg makes blocks of 24 MiB and more.
const maxBlocks = 4096

// newXZ unpacks b, at most limit bytes of it.
func newXZ(b []byte, limit int64) (*xzReader, error) {
	if len(b) < 12 || string(b[:6]) != xzMagic || b[6] != 0 || crc32.ChecksumIEEE(b[6:8]) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, errors.New("xz: no header of an xz stream")
	}
	x := &xzReader{in: bytes.NewReader(b[12:]), check: b[7], left: limit}
	if _, err := x.newSum(); err != nil {
		return nil, err
	}
	return x, nil
}

// UnXZ unpacks an .xz file of at most limit unpacked bytes.
func UnXZ(b []byte, limit int64) ([]byte, error) {
	x, err := newXZ(b, limit)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(x)
}

func (x *xzReader) newSum() (hash.Hash, error) {
	switch x.check {
	case 0x00:
		return nil, nil
	case 0x01:
		return crc32.NewIEEE(), nil
	case 0x04:
		return crc64.New(crc64.MakeTable(crc64.ECMA)), nil
	case 0x0a:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("xz: check of type %#x, expected none, CRC32, CRC64 or SHA-256", x.check)
}

func (x *xzReader) Read(p []byte) (int, error) {
	for x.err == nil && len(p) > 0 {
		if x.block == nil {
			x.err = x.nextBlock()
			continue
		}
		n, err := x.block.Read(p[:min(int64(len(p)), x.left+1)])
		x.left -= int64(n)
		if x.left < 0 {
			x.err = errors.New("xz: unpacks to more than was expected")
			break
		}
		x.size += uint64(n)
		if x.sum != nil {
			x.sum.Write(p[:n])
		}
		switch {
		case err == io.EOF:
			x.err = x.endBlock()
		case err != nil:
			x.err = fmt.Errorf("xz: %w", err)
		}
		if n > 0 {
			return n, nil
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, x.err
}

// nextBlock reads a block's header (format section 3.1), or the index that
// follows the last block.
func (x *xzReader) nextBlock() error {
	x.start = x.in.Len()
	first, err := x.in.ReadByte()
	if err != nil {
		return errXZ
	}
	if first == 0 {
		return x.end()
	}
	h := make([]byte, (int(first)+1)*4)
	h[0] = first
	if _, err := io.ReadFull(x.in, h[1:]); err != nil {
		return errXZ
	}
	body := h[:len(h)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(h[len(h)-4:]) {
		return errXZ
	}
	x.header = len(h)
	dict, err := x.readHeader(body)
	if err != nil {
		return err
	}
	if x.block, err = (lzma.Reader2Config{DictCap: dict}).NewReader2(x.in); err != nil {
		return fmt.Errorf("xz: %w", err)
	}
	x.size = 0
	x.sum, err = x.newSum()
	return err
}

// readHeader reads flags, sizes and the one filter of a block and returns the
// dictionary's size.
func (x *xzReader) readHeader(h []byte) (int, error) {
	flags, r := h[1], bytes.NewReader(h[2:])
	x.declare = [2]uint64{}
	for i, bit := range []byte{0x40, 0x80} {
		if flags&bit == 0 {
			continue
		}
		v, err := xzNumber(r)
		if err != nil {
			return 0, err
		}
		x.declare[i] = v + 1
	}
	filter := make([]byte, 3)
	if _, err := io.ReadFull(r, filter); err != nil || flags&0x3f != 0 || filter[0] != 0x21 || filter[1] != 1 {
		return 0, errors.New("xz: a block with other filters than LZMA2")
	}
	dict, err := lzma.DecodeDictCap(filter[2])
	if err != nil || dict > maxDict {
		return 0, fmt.Errorf("xz: a dictionary of %d bytes, the most accepted is %d", dict, maxDict)
	}
	if rest := h[len(h)-r.Len():]; len(bytes.Trim(rest, "\x00")) != 0 {
		return 0, errXZ
	}
	// No match lies further back than what has been unpacked.
	return int(max(min(dict, x.left), lzma.MinDictCap)), nil
}

// endBlock reads what follows a block's data: padding and check.
func (x *xzReader) endBlock() error {
	packed := x.start - x.in.Len()
	x.block = nil
	if d := x.declare; d[0] != 0 && d[0]-1 != uint64(packed-x.header) || d[1] != 0 && d[1]-1 != x.size {
		return errXZ
	}
	for range -packed & 3 {
		if c, err := x.in.ReadByte(); err != nil || c != 0 {
			return errXZ
		}
	}
	if x.sum != nil {
		want := make([]byte, x.sum.Size())
		if _, err := io.ReadFull(x.in, want); err != nil {
			return errXZ
		}
		got := x.sum.Sum(nil)
		if x.check != 0x0a { // CRCs are stored in little endian
			for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
				got[i], got[j] = got[j], got[i]
			}
		}
		if !bytes.Equal(got, want) {
			return errors.New("xz: a block's checksum does not match")
		}
		packed += len(want)
	}
	if x.index = append(x.index, xzRecord{uint64(packed), x.size}); len(x.index) > maxBlocks {
		return fmt.Errorf("xz: more than %d blocks", maxBlocks)
	}
	return nil
}

// end reads the index and the footer (sections 4 and 2.1.2), which must say
// what was seen. Its first byte has been read.
func (x *xzReader) end() error {
	before := x.start
	n, err := xzNumber(x.in)
	if err != nil || n != uint64(len(x.index)) {
		return errXZ
	}
	for _, want := range x.index {
		unpadded, err := xzNumber(x.in)
		unpacked, err2 := xzNumber(x.in)
		if err != nil || err2 != nil || (xzRecord{unpadded, unpacked}) != want {
			return errXZ
		}
	}
	for (before-x.in.Len())&3 != 0 {
		if c, err := x.in.ReadByte(); err != nil || c != 0 {
			return errXZ
		}
	}
	size := before - x.in.Len()
	var tail [16]byte // CRC32 of the index, then the footer
	if _, err := io.ReadFull(x.in, tail[:]); err != nil || x.in.Len() != 0 {
		return errXZ
	}
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(x.in, x.in.Size()-16-int64(size), int64(size))); err != nil {
		return errXZ
	}
	footer := tail[4:]
	if sum.Sum32() != binary.LittleEndian.Uint32(tail[:]) ||
		crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) ||
		int64(binary.LittleEndian.Uint32(footer[4:])) != int64(size+4)/4-1 ||
		footer[8] != 0 || footer[9] != x.check || string(footer[10:]) != xzFooter {
		return errXZ
	}
	return io.EOF
}

// xzNumber reads a number of 1 to 9 bytes, 7 bits each (section 1.2).
func xzNumber(r io.ByteReader) (uint64, error) {
	var v uint64
	for i := range 9 {
		c, err := r.ReadByte()
		if err != nil || c == 0 && i > 0 {
			return 0, errXZ
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, nil
		}
	}
	return 0, errXZ
}
