// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sevGuest is AMD's device, whose requests are ioctls (include/uapi/linux/
// sev-guest.h, Documentation/virt/coco/sev-guest.rst).
type sevGuest struct{ f *os.File }

const (
	snpGetReport    = 0xc0205300 // _IOWR('S', 0, struct snp_guest_request_ioctl)
	snpGetExtReport = 0xc0205302
	// snpResponse is sizeof(struct snp_report_resp): status (4 bytes), size of
	// the report (4), 24 reserved, then the report.
	snpResponse  = 4000
	snpRespHead  = 32
	snpGuestVers = 1
	// snpNoRoom in exitinfo2 says that the certificates need a larger buffer
	// (SNP_GUEST_VMM_ERR_INVALID_LEN, the VMM's error in the upper half).
	snpNoRoom = 1 << 32
)

// snpRequest is struct snp_guest_request_ioctl.
type snpRequest struct {
	version   uint8
	_         [7]byte
	request   unsafe.Pointer
	response  unsafe.Pointer
	exitInfo2 uint64
}

// snpReportReq is struct snp_report_req: report data, VMPL, 28 reserved bytes.
type snpReportReq struct {
	reportData [64]byte
	vmpl       uint32
	_          [28]byte
}

// snpExtReportReq is struct snp_ext_report_req.
type snpExtReportReq struct {
	data      snpReportReq
	certs     unsafe.Pointer
	certsSize uint32
	_         [4]byte
}

func (s *sevGuest) Provider() string { return providerSEV }

// Extend has nothing to extend.
func (s *sevGuest) Extend([48]byte) error { return errors.ErrUnsupported }

// Report asks for the report with the host's certificates, and without them if
// the host has none to give or has more than fit.
func (s *sevGuest) Report(reportData [64]byte) (report, along []byte, err error) {
	certs := make([]byte, maxReport) // whole pages, as the kernel wants
	ext := snpExtReportReq{data: snpReportReq{reportData: reportData}, certs: unsafe.Pointer(&certs[0]), certsSize: maxReport}
	report, err = s.request(snpGetExtReport, unsafe.Pointer(&ext))
	runtime.KeepAlive(certs)
	if err == nil {
		return report, certs, nil
	}
	plain := snpReportReq{reportData: reportData}
	report, err2 := s.request(snpGetReport, unsafe.Pointer(&plain))
	if err2 != nil {
		return nil, nil, errors.Join(err, err2)
	}
	return report, nil, nil
}

func (s *sevGuest) request(op uintptr, req unsafe.Pointer) ([]byte, error) {
	response := make([]byte, snpResponse)
	r := snpRequest{version: snpGuestVers, request: req, response: unsafe.Pointer(&response[0])}
	_, _, e := unix.Syscall(unix.SYS_IOCTL, s.f.Fd(), op, uintptr(unsafe.Pointer(&r)))
	// The kernel writes to what r points to, and only r's address is in the call.
	runtime.KeepAlive(&r)
	runtime.KeepAlive(response)
	if e != 0 {
		if r.exitInfo2 == snpNoRoom {
			return nil, fmt.Errorf("%s: the host's certificates need more than %d bytes: %w", SEVGuest, maxReport, e)
		}
		return nil, fmt.Errorf("%s: request %#x: %w (firmware and host say %#x)", SEVGuest, op, e, r.exitInfo2)
	}
	return snpReport(response)
}

// snpReport takes struct snp_report_resp apart: MSG_REPORT_RSP of the SEV-SNP
// ABI, table 24.
func snpReport(b []byte) ([]byte, error) {
	if len(b) < snpRespHead {
		return nil, fmt.Errorf("%s: an answer of %d bytes, expected at least %d", SEVGuest, len(b), snpRespHead)
	}
	status, size := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if status != 0 {
		return nil, fmt.Errorf("%s: the firmware refuses with status %#x", SEVGuest, status)
	}
	if size == 0 || uint64(size) > uint64(len(b)-snpRespHead) {
		return nil, fmt.Errorf("%s: a report of %d bytes in an answer of %d", SEVGuest, size, len(b))
	}
	return b[snpRespHead : snpRespHead+size], nil
}
