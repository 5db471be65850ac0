// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/keep/engine"
)

// System is the system interface of one instance. It belongs to the goroutine
// that runs the instance.
type System struct {
	clock     Clock
	random    io.Reader
	limits    Limits
	args, env guestStrings
	fds       []*entry // index is the number, nil is free
	inodes    uint64   // last inode number given to a stream
	trees     []FS
	quick     *engine.Quick // what the engine may do without asking

	// Space that calls use again and again, so that they allocate nothing.
	one    [1]unix.PollFd
	iovs   [][]byte
	gather []byte
	polls  []unix.PollFd
	waits  []wait
}

// entry is an open descriptor.
type entry struct {
	kind             kind
	flags            fdFlags
	tty              bool
	base, inheriting rights
	ino              uint64
	stream           Stream
	listener         Listener
	file             file
	offset           uint64 // of file
	dir              dir
	fs               FS // the tree of dir or file
	preopen          string
	listing          []dirEntry // what fd_readdir with cookie 0 has seen
}

func (e *entry) close() errno {
	switch {
	case e.stream != nil:
		return toErrno(e.stream.Close())
	case e.listener != nil:
		return toErrno(e.listener.Close())
	case e.file != nil:
		e.file.close()
	case e.dir != nil:
		e.dir.close()
	}
	return errnoSuccess
}

// Close closes everything that is open. The instance must not run any more.
func (s *System) Close() error {
	clear(s.quick.FDs[:])
	var errs []error
	for i, e := range s.fds {
		if e == nil {
			continue
		}
		if rc := e.close(); rc != errnoSuccess {
			errs = append(errs, fmt.Errorf("closing the guest's descriptor %d: WASI error %d", i, rc))
		}
		s.fds[i] = nil
	}
	for _, t := range s.trees {
		errs = append(errs, t.Close())
	}
	s.trees = nil
	return errors.Join(errs...)
}

// call is one function of the interface. Its parameters are the first values
// of st.
type call func(s *System, mem engine.Memory, st []uint64) errno

// HostFuncs are the functions of wasi_snapshot_preview1, for
// engine.Module.Instantiate.
func (s *System) HostFuncs() []engine.HostFunc {
	fs := make([]engine.HostFunc, 0, len(calls)+1)
	for i := range calls {
		c := calls[i].call
		f := engine.HostFunc{
			Module: Module, Name: calls[i].name, Params: signature(calls[i].params), Results: []engine.ValType{engine.I32},
			Kind: quickKinds[calls[i].name], Quick: s.quick,
		}
		f.Call = func(_ context.Context, mem engine.Memory, st []uint64) { st[0] = uint64(c(s, mem, st)) }
		if f.Kind == engine.QuickNone {
			f.Call = func(_ context.Context, mem engine.Memory, st []uint64) {
				clear(s.quick.FDs[:])
				st[0] = uint64(c(s, mem, st))
			}
		}
		fs = append(fs, f)
	}
	return append(fs, engine.HostFunc{
		Module: Module, Name: "proc_exit", Params: signature("i"),
		Call: func(_ context.Context, _ engine.Memory, st []uint64) { panic(&engine.ExitError{Code: uint32(st[0])}) },
	})
}

// signature spells parameters: i is 32 bits, I is 64.
func signature(s string) []engine.ValType {
	var t []engine.ValType
	for _, c := range s {
		if c == 'I' {
			t = append(t, engine.I64)
		} else {
			t = append(t, engine.I32)
		}
	}
	return t
}

// calls are all functions that return an errno, in the order of the witx
// description.
var calls = []struct {
	name   string
	params string
	call   call
}{
	{"args_get", "ii", argsGet},
	{"args_sizes_get", "ii", argsSizesGet},
	{"environ_get", "ii", environGet},
	{"environ_sizes_get", "ii", environSizesGet},
	{"clock_res_get", "ii", clockResGet},
	{"clock_time_get", "iIi", clockTimeGet},
	{"fd_advise", "iIIi", fdAdvise},
	{"fd_allocate", "iII", fdAllocate},
	{"fd_close", "i", fdClose},
	{"fd_datasync", "i", fdDatasync},
	{"fd_fdstat_get", "ii", fdFdstatGet},
	{"fd_fdstat_set_flags", "ii", fdFdstatSetFlags},
	{"fd_fdstat_set_rights", "iII", fdFdstatSetRights},
	{"fd_filestat_get", "ii", fdFilestatGet},
	{"fd_filestat_set_size", "iI", fdFilestatSetSize},
	{"fd_filestat_set_times", "iIIi", fdFilestatSetTimes},
	{"fd_pread", "iiiIi", fdPread},
	{"fd_prestat_get", "ii", fdPrestatGet},
	{"fd_prestat_dir_name", "iii", fdPrestatDirName},
	{"fd_pwrite", "iiiIi", fdPwrite},
	{"fd_read", "iiii", fdRead},
	{"fd_readdir", "iiiIi", fdReaddir},
	{"fd_renumber", "ii", fdRenumber},
	{"fd_seek", "iIii", fdSeek},
	{"fd_sync", "i", fdSync},
	{"fd_tell", "ii", fdTell},
	{"fd_write", "iiii", fdWrite},
	{"path_create_directory", "iii", pathCreateDirectory},
	{"path_filestat_get", "iiiii", pathFilestatGet},
	{"path_filestat_set_times", "iiiiIIi", pathFilestatSetTimes},
	{"path_link", "iiiiiii", pathLink},
	{"path_open", "iiiiiIIii", pathOpen},
	{"path_readlink", "iiiiii", pathReadlink},
	{"path_remove_directory", "iii", pathRemoveDirectory},
	{"path_rename", "iiiiii", pathRename},
	{"path_symlink", "iiiii", pathSymlink},
	{"path_unlink_file", "iii", pathUnlinkFile},
	{"poll_oneoff", "iiii", pollOneoff},
	{"proc_raise", "i", procRaise},
	{"sched_yield", "", schedYield},
	{"random_get", "ii", randomGet},
	{"sock_accept", "iii", sockAccept},
	{"sock_recv", "iiiiii", sockRecv},
	{"sock_send", "iiiii", sockSend},
	{"sock_shutdown", "ii", sockShutdown},
}

// get is the open descriptor fd, if it has all the rights that are needed.
func (s *System) get(fd uint64, need rights) (*entry, errno) {
	n := uint32(fd)
	if uint64(n) >= uint64(len(s.fds)) || s.fds[n] == nil {
		return nil, errnoBadf
	}
	e := s.fds[n]
	if e.base&need != need {
		return nil, errnoNotCapable
	}
	return e, errnoSuccess
}

// room says whether one more descriptor can be opened.
func (s *System) room() bool {
	if len(s.fds) < s.limits.OpenFDs {
		return true
	}
	for _, e := range s.fds {
		if e == nil {
			return true
		}
	}
	return false
}

// add puts e on the lowest free number, as POSIX demands. The caller has made
// sure of room.
func (s *System) add(e *entry) uint32 {
	for i, have := range s.fds {
		if have == nil {
			s.fds[i] = e
			return uint32(i)
		}
	}
	s.fds = append(s.fds, e)
	return uint32(len(s.fds) - 1)
}

// The guest's memory is little-endian, whatever the host is.

func put32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func put64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }
func get32(b []byte) uint32    { return binary.LittleEndian.Uint32(b) }
func get64(b []byte) uint64    { return binary.LittleEndian.Uint64(b) }

// view is the guest's memory at a pointer.
func view(mem engine.Memory, ptr, n uint64) ([]byte, errno) {
	b, ok := mem.Bytes(uint32(ptr), uint32(n))
	if !ok {
		return nil, errnoFault
	}
	return b, errnoSuccess
}

// store32 writes one 32-bit result.
func store32(mem engine.Memory, ptr uint64, v uint32) errno {
	b, e := view(mem, ptr, 4)
	if e == errnoSuccess {
		put32(b, v)
	}
	return e
}

// store64 writes one 64-bit result.
func store64(mem engine.Memory, ptr, v uint64) errno {
	b, e := view(mem, ptr, 8)
	if e == errnoSuccess {
		put64(b, v)
	}
	return e
}

// path is a path in the guest's memory.
func (s *System) path(mem engine.Memory, ptr, n uint64) (string, errno) {
	if uint32(n) > s.limits.PathBytes {
		return "", errnoNameTooLong
	}
	b, e := view(mem, ptr, n)
	return string(b), e
}
