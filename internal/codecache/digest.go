// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package codecache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
	"time"
)

// digestFile remembers the digest of one file: its state (stateBytes), the
// digest, and an HMAC-SHA256 over a domain and both.
const (
	digestFile   = "keep-digest"
	digestDomain = "enarx file digest 1"
	stateBytes   = 7 * 8
	memoBytes    = stateBytes + sha256.Size + tagBytes
)

// Digest is the SHA-256 digest of a regular file of at most limit bytes, from
// memory if the file is as it was when it was hashed last. One file is
// remembered: the Keep runtime, whose 10 MB would take a third of a short run.
//
// "As it was" is the file's device, number, size, and times of last change of
// content and of status in nanoseconds. The kernel sets the latter to its clock
// on every change; to make a changed file look the same takes root, who sets
// the clock or writes past the file system, or a writer who keeps a mapping of
// the file. So only a file that nobody but this user and root can write is
// remembered: both can replace the program that asks. A digest that a judgement
// of somebody else's machine rests on is computed elsewhere, from the bytes.
func (c *Cache) Digest(f *os.File, limit int64) ([sha256.Size]byte, error) {
	before, err := stateOf(f)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	if d, ok := c.recall(before); ok {
		return d, nil
	}
	h := sha256.New()
	// Not by the file's own position: a process that is started from the file
	// shares it.
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, limit)); err != nil {
		return [sha256.Size]byte{}, err
	}
	d := [sha256.Size]byte(h.Sum(nil))
	after, err := stateOf(f)
	if err != nil {
		return d, err
	}
	if before == after && before.ours && before.settled(c.settle) {
		c.remember(before, d)
	}
	return d, nil
}

// fileState is what tells one content of a file from another.
type fileState struct {
	dev, ino, size, mtime, mtimeNS, ctime, ctimeNS uint64

	ours bool // only this user and root can write it
}

func stateOf(f *os.File) (s fileState, err error) {
	var st syscall.Stat_t
	conn, err := f.SyscallConn()
	if err != nil {
		return s, err
	}
	if cerr := conn.Control(func(fd uintptr) { err = syscall.Fstat(int(fd), &st) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return s, fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	return fileState{
		uint64(st.Dev), st.Ino, uint64(st.Size),
		uint64(st.Mtim.Sec), uint64(st.Mtim.Nsec), uint64(st.Ctim.Sec), uint64(st.Ctim.Nsec),
		st.Mode&0o022 == 0 && (st.Uid == 0 || int(st.Uid) == os.Geteuid()),
	}, nil
}

// settled says that a change from now on will show in the times: the kernel's
// clock for them moves in steps of some milliseconds.
func (s fileState) settled(age time.Duration) bool {
	return time.Since(time.Unix(int64(s.ctime), int64(s.ctimeNS))) > age
}

func (s fileState) bytes() (b []byte) {
	for _, v := range []uint64{s.dev, s.ino, s.size, s.mtime, s.mtimeNS, s.ctime, s.ctimeNS} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func (c *Cache) memoMAC(memo []byte) hash.Hash {
	h := hmac.New(sha256.New, c.key[:])
	io.WriteString(h, digestDomain)
	h.Write(memo)
	return h
}

// recall gives the remembered digest of a file in state s.
func (c *Cache) recall(s fileState) (d [sha256.Size]byte, ok bool) {
	f, err := c.root.OpenFile(digestFile, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return d, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, memoBytes+1))
	if err != nil || len(b) != memoBytes {
		return d, false
	}
	memo, tag := b[:memoBytes-tagBytes], b[memoBytes-tagBytes:]
	if !s.ours || !hmac.Equal(tag, c.memoMAC(memo).Sum(nil)) || string(memo[:stateBytes]) != string(s.bytes()) {
		return d, false
	}
	return [sha256.Size]byte(memo[stateBytes:]), true
}

// remember stores a digest; without it the next run takes longer, no more.
func (c *Cache) remember(s fileState, d [sha256.Size]byte) {
	memo := append(s.bytes(), d[:]...)
	_ = place(c.root, digestFile, func(w io.Writer) error {
		_, err := w.Write(c.memoMAC(memo).Sum(memo))
		return err
	})
}
