// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Module is the name of the module whose functions HostFuncs gives.
const Module = "wasi_snapshot_preview1"

// errno is a result code as the guest sees it (witx: errno, 16 bits).
type errno uint16

const (
	errnoSuccess     errno = 0
	errno2Big        errno = 1
	errnoAcces       errno = 2
	errnoAgain       errno = 6
	errnoBadf        errno = 8
	errnoBusy        errno = 10
	errnoConnAborted errno = 13
	errnoConnRefused errno = 14
	errnoConnReset   errno = 15
	errnoDQuot       errno = 19
	errnoExist       errno = 20
	errnoFault       errno = 21
	errnoFBig        errno = 22
	errnoIntr        errno = 27
	errnoInval       errno = 28
	errnoIO          errno = 29
	errnoIsDir       errno = 31
	errnoLoop        errno = 32
	errnoMFile       errno = 33
	errnoMLink       errno = 34
	errnoNameTooLong errno = 37
	errnoNFile       errno = 41
	errnoNoBufs      errno = 42
	errnoNoDev       errno = 43
	errnoNoEnt       errno = 44
	errnoNoMem       errno = 48
	errnoNoSpc       errno = 51
	errnoNoSys       errno = 52
	errnoNotConn     errno = 53
	errnoNotDir      errno = 54
	errnoNotEmpty    errno = 55
	errnoNotSock     errno = 57
	errnoNotSup      errno = 58
	errnoNXIO        errno = 60
	errnoOverflow    errno = 61
	errnoPerm        errno = 63
	errnoPipe        errno = 64
	errnoProto       errno = 65
	errnoROFS        errno = 69
	errnoSPipe       errno = 70
	errnoTimedOut    errno = 73
	errnoTxtBsy      errno = 74
	errnoXDev        errno = 75
	errnoNotCapable  errno = 76
)

// hostErrnos says what a guest sees of an error of the host's kernel. What is
// not listed is EIO: the guest learns nothing about the host from it.
var hostErrnos = map[unix.Errno]errno{
	unix.E2BIG: errno2Big, unix.EACCES: errnoAcces, unix.EAGAIN: errnoAgain, unix.EBADF: errnoBadf,
	unix.EBUSY: errnoBusy, unix.ECONNABORTED: errnoConnAborted, unix.ECONNREFUSED: errnoConnRefused,
	unix.ECONNRESET: errnoConnReset, unix.EDQUOT: errnoDQuot, unix.EEXIST: errnoExist, unix.EFBIG: errnoFBig,
	unix.EINTR: errnoIntr, unix.EINVAL: errnoInval, unix.EISDIR: errnoIsDir, unix.ELOOP: errnoLoop,
	unix.EMFILE: errnoMFile, unix.EMLINK: errnoMLink, unix.ENAMETOOLONG: errnoNameTooLong,
	unix.ENFILE: errnoNFile, unix.ENOBUFS: errnoNoBufs, unix.ENODEV: errnoNoDev, unix.ENOENT: errnoNoEnt,
	unix.ENOMEM: errnoNoMem, unix.ENOSPC: errnoNoSpc, unix.ENOSYS: errnoNoSys, unix.ENOTCONN: errnoNotConn,
	unix.ENOTDIR: errnoNotDir, unix.ENOTEMPTY: errnoNotEmpty, unix.ENOTSOCK: errnoNotSock,
	unix.EOPNOTSUPP: errnoNotSup, unix.ENXIO: errnoNXIO, unix.EOVERFLOW: errnoOverflow, unix.EPERM: errnoPerm,
	unix.EPIPE: errnoPipe, unix.EPROTO: errnoProto, unix.EROFS: errnoROFS, unix.ESPIPE: errnoSPipe,
	unix.ETIMEDOUT: errnoTimedOut, unix.ETXTBSY: errnoTxtBsy, unix.EXDEV: errnoXDev,
}

// toErrno says what a guest sees of err.
func toErrno(err error) errno {
	var e unix.Errno
	switch {
	case err == nil:
		return errnoSuccess
	case errors.As(err, &e):
		if r, ok := hostErrnos[e]; ok {
			return r
		}
		return errnoIO
	case errors.Is(err, ErrAgain):
		return errnoAgain
	case errors.Is(err, os.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return errnoPipe
	default:
		return errnoIO
	}
}

// rights are what a descriptor may be used for (witx: rights, 64 bits).
type rights uint64

const (
	rightFDDatasync rights = 1 << iota
	rightFDRead
	rightFDSeek
	rightFDFdstatSetFlags
	rightFDSync
	rightFDTell
	rightFDWrite
	rightFDAdvise
	rightFDAllocate
	rightPathCreateDirectory
	rightPathCreateFile
	rightPathLinkSource
	rightPathLinkTarget
	rightPathOpen
	rightFDReaddir
	rightPathReadlink
	rightPathRenameSource
	rightPathRenameTarget
	rightPathFilestatGet
	rightPathFilestatSetSize
	rightPathFilestatSetTimes
	rightFDFilestatGet
	rightFDFilestatSetSize
	rightFDFilestatSetTimes
	rightPathSymlink
	rightPathRemoveDirectory
	rightPathUnlinkFile
	rightPollFDReadwrite
	rightSockShutdown
	rightSockAccept
)

// The most that each kind of descriptor can do.
const (
	rightsFile = rightFDDatasync | rightFDRead | rightFDSeek | rightFDFdstatSetFlags | rightFDSync | rightFDTell |
		rightFDWrite | rightFDAdvise | rightFDAllocate | rightFDFilestatGet | rightFDFilestatSetSize |
		rightFDFilestatSetTimes | rightPollFDReadwrite
	rightsDir = rightFDDatasync | rightFDFdstatSetFlags | rightFDSync | rightPathCreateDirectory | rightPathCreateFile |
		rightPathLinkSource | rightPathLinkTarget | rightPathOpen | rightFDReaddir | rightPathReadlink |
		rightPathRenameSource | rightPathRenameTarget | rightPathFilestatGet | rightPathFilestatSetSize |
		rightPathFilestatSetTimes | rightFDFilestatGet | rightFDFilestatSetTimes | rightPathSymlink |
		rightPathRemoveDirectory | rightPathUnlinkFile
	rightsDirInheriting = rightsDir | rightsFile
	rightsStdio         = rightFDFdstatSetFlags | rightFDFilestatGet | rightPollFDReadwrite
	rightsSocket        = rightsStdio | rightFDRead | rightFDWrite | rightSockShutdown
	rightsListener      = rightsStdio | rightFDRead | rightSockAccept
	// A null descriptor can seek and tell, as /dev/null can, which also
	// tells a C library that it is no terminal.
	rightsNull = rightsStdio | rightFDRead | rightFDWrite | rightFDSeek | rightFDTell
	// rightsMutating are those that make no sense in a tree that cannot be
	// changed. rightPathOpen stays.
	rightsMutating = rightFDWrite | rightFDAllocate | rightPathCreateDirectory | rightPathCreateFile |
		rightPathLinkTarget | rightPathRenameSource | rightPathRenameTarget | rightPathFilestatSetSize |
		rightPathFilestatSetTimes | rightFDFilestatSetSize | rightFDFilestatSetTimes | rightPathSymlink |
		rightPathRemoveDirectory | rightPathUnlinkFile
)

// fileType is the type of a file (witx: filetype, 8 bits).
type fileType uint8

const (
	typeUnknown   fileType = 0
	typeBlock     fileType = 1
	typeCharacter fileType = 2
	typeDirectory fileType = 3
	typeRegular   fileType = 4
	typeSocket    fileType = 6
	typeSymlink   fileType = 7
)

// fdFlags of a descriptor (witx: fdflags, 16 bits).
type fdFlags uint16

const (
	flagAppend   fdFlags = 1
	flagDsync    fdFlags = 2
	flagNonblock fdFlags = 4
	flagRsync    fdFlags = 8
	flagSync     fdFlags = 16
	flagsAll             = flagAppend | flagDsync | flagNonblock | flagRsync | flagSync
)

// oflags of path_open (16 bits).
const (
	oflagCreat     = 1
	oflagDirectory = 2
	oflagExcl      = 4
	oflagTrunc     = 8
	oflagsAll      = oflagCreat | oflagDirectory | oflagExcl | oflagTrunc
)

// lookupFollow is the only flag of lookupflags: follow a link at the end of a
// path.
const lookupFollow = 1

// fstflags of the functions that set times (16 bits).
const (
	fstAtim    = 1
	fstAtimNow = 2
	fstMtim    = 4
	fstMtimNow = 8
	fstAll     = fstAtim | fstAtimNow | fstMtim | fstMtimNow
)

// Clock identifiers (32 bits).
const (
	clockRealtime  = 0
	clockMonotonic = 1
)

// Event types and flags of poll_oneoff.
const (
	eventClock       = 0
	eventFDRead      = 1
	eventFDWrite     = 2
	eventHangup      = 1
	clockAbsolute    = 1
	subscriptionSize = 48
	eventSize        = 32
)

// Flags of sockets.
const (
	recvPeek     = 1
	recvWaitAll  = 2
	shutdownRead = 1
	shutdownWr   = 2
)

// adviceMax is the highest value of fd_advise's advice.
const adviceMax = 5
