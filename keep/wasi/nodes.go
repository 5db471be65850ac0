// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Node is a file of a tree of devices whose content is made while it is used.
// Exactly one of Open and Load is set.
type Node struct {
	// Path is where it is in the tree, as that of a [BundleFile].
	Path string
	// Open makes the stream behind one more descriptor. The guest sees a
	// character device: it has no size and no offset, and is always ready.
	Open func() (Stream, error)
	// Load makes the content of a regular file that cannot be written. It is
	// asked at every look and every opening; an opened file stays as it was.
	Load func() ([]byte, error)
}

// NewDeviceFS makes the tree that programs know as /dev:
//
//	null            reads as empty, swallows what is written
//	zero            reads as zero bytes, swallows what is written
//	random, urandom read as random bytes, which never run out; what is written
//	                is swallowed and changes nothing
//
// and more nodes beside them. Nothing in it can be created, changed, renamed
// or removed (EROFS). Opening with O_CREAT or O_TRUNC what is there is allowed,
// as programs do it that redirect their output to /dev/null.
func NewDeviceFS(random io.Reader, more ...Node) (FS, error) {
	if random == nil {
		return nil, errors.New("a tree of devices needs a source of random bytes")
	}
	t := newMemFS(false)
	t.devices = true
	stream := func(r io.Reader) func() (Stream, error) {
		return func() (Stream, error) { return NewStream(r, io.Discard), nil }
	}
	nodes := append([]Node{
		{Path: "/null"},
		{Path: "/zero", Open: stream(zeros{})},
		{Path: "/random", Open: stream(random)},
		{Path: "/urandom", Open: stream(random)},
	}, more...)
	for i := range nodes {
		n := &nodes[i]
		if n.Path != "/null" && (n.Open == nil) == (n.Load == nil) {
			return nil, fmt.Errorf("node %.80q: expected exactly one of Open and Load", n.Path)
		}
		f := BundleFile{Path: n.Path}
		if err := t.addFile(&f); err != nil {
			return nil, err
		}
		made, _ := t.find(n.Path)
		made.node = n
		if n.Load == nil {
			made.typ = typeCharacter
		}
	}
	return t, nil
}

// zeros is an endless supply of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// nodeDir is a directory with names that open to something else than a file
// or a directory.
type nodeDir interface {
	// openNode opens a name if it is such a one, and says whether it is. The
	// descriptor has at most the rights that are asked for.
	openNode(name string, o *opening, base rights) (e *entry, rc errno, isNode bool)
}

// openNode opens a device.
func (d memDir) openNode(name string, o *opening, base rights) (*entry, errno, bool) {
	n := d.n.entries[name]
	switch {
	case n == nil || n.node == nil || n.node.Load != nil:
		return nil, errnoSuccess, false
	case o.oflags&(oflagCreat|oflagExcl) == oflagCreat|oflagExcl:
		return nil, errnoExist, true
	case o.flags&^uint32(flagNonblock|flagAppend) != 0:
		return nil, errnoInval, true // it has nothing that could be made durable
	case n.node.Open == nil:
		return &entry{kind: kindNull, flags: fdFlags(o.flags), base: base & rightsNull, ino: n.ino}, errnoSuccess, true
	}
	s, err := n.node.Open()
	if err != nil {
		return nil, toErrno(err), true
	}
	return &entry{kind: kindNode, flags: fdFlags(o.flags), base: base & rightsNull, stream: s, ino: n.ino}, errnoSuccess, true
}

// load fills a file whose content is made while it is used.
func (n *memNode) load() (*memNode, errno) {
	if n.node == nil || n.node.Load == nil {
		return n, errnoSuccess
	}
	data, err := n.node.Load()
	if err != nil {
		return nil, toErrno(err)
	}
	if len(data) > maxLoaded {
		return nil, errnoFBig
	}
	// A copy for who opens it now. It counts for no limit: its own is
	// maxLoaded, and there are no more than open descriptors.
	c := *n
	c.data, c.open = data, 0
	return &c, errnoSuccess
}

// find is the node at an absolute path without links.
func (t *memFS) find(path string) (*memNode, bool) {
	p, rc := walk(memDir{t.top}, path[1:], false)
	if rc != errnoSuccess {
		return nil, false
	}
	defer p.done()
	n := p.dir.(memDir).n.entries[p.name]
	return n, n != nil
}

// exchange is a device that is asked by writing and answers by reading.
type exchange struct {
	size int
	ask  func([]byte) ([]byte, error)

	question, answer []byte
	answered         bool
}

// NewExchange makes a stream that takes questions of exactly size bytes and
// gives the answer to each: the guest writes a question, in one piece or
// several, and reads the answer up to its end. ask is called by the first read
// after the last byte. Reading before a question is complete, and writing past
// its end, is EINVAL and changes nothing. Writing after a read begins the next
// question and drops what is left of the answer; a question that ask failed for
// is dropped too.
func NewExchange(size int, ask func([]byte) ([]byte, error)) Stream {
	return &exchange{size: size, ask: ask}
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.answered {
		x.question, x.answer, x.answered = nil, nil, false
	}
	if len(p) > x.size-len(x.question) {
		return 0, unix.EINVAL
	}
	x.question = append(x.question, p...)
	return len(p), nil
}

func (x *exchange) Read(p []byte) (int, error) {
	if !x.answered {
		if len(x.question) != x.size {
			return 0, unix.EINVAL
		}
		answer, err := x.ask(x.question)
		if err != nil {
			x.question = nil
			return 0, err
		}
		x.answer, x.answered = answer, true
	}
	if len(x.answer) == 0 {
		return 0, io.EOF
	}
	n := copy(p, x.answer)
	x.answer = x.answer[n:]
	return n, nil
}

func (x *exchange) Shutdown(read, write bool) error { return unix.ENOTSOCK }
func (x *exchange) PollFD() int                     { return -1 }
func (x *exchange) Close() error                    { x.question, x.answer = nil, nil; return nil }

// seekNode is seeking in a device: it has one offset, zero, as /dev/null and
// /dev/zero have.
func seekNode(result []byte, whence uint32) errno {
	if whence > 2 {
		return errnoInval
	}
	put64(result, 0)
	return errnoSuccess
}
