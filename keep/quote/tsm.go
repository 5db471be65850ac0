// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/enarx/enarx-go/attest"
)

// TSM is the evidence source of the confidential virtual machines: snp and tdx.
// The kernel makes their reports through files that must be opened anew for
// every report, which a sealed process cannot do. So the first process of the
// machine does it, moving bytes that it does not look into (see
// [ServeReports]), and this side checks what comes.
//
// Unverified on hardware: no machine with either was at hand. The kernel's
// interface is covered by tests against an imitation of it, the reports by real
// ones of such machines.
type TSM struct {
	// Device is the parent's end of the socket pair.
	Device io.ReadWriter
	// Platform is what the device says it is: attest.PlatformSNP or
	// attest.PlatformTDX.
	Platform string
	// Hints, if not nil, gives what the host stapled beside what came with
	// the report.
	Hints func(ctx context.Context) attest.Collateral

	mu  sync.Mutex
	err error // once set, an answer may belong to a question before
}

// provider asks the device which platform it is.
func provider(rw io.ReadWriter) (string, error) {
	parts, err := askDevice(rw, opProvider, nil)
	if err != nil {
		return "", fmt.Errorf("ask the machine's report device for its provider: %w", err)
	}
	p, ok := providers[string(parts[0])]
	if !ok {
		return "", fmt.Errorf("the machine's report device is %q, expected sev_guest or tdx_guest", clip(string(parts[0])))
	}
	return p, nil
}

// providers are the names of Linux's drivers (attribute provider of
// Documentation/ABI/testing/configfs-tsm-report).
var providers = map[string]string{
	providerSEV: attest.PlatformSNP,
	"tdx_guest": attest.PlatformTDX,
}

const providerSEV = "sev_guest"

// Quote asks for a report over reportData.
func (t *TSM) Quote(ctx context.Context, reportData [64]byte) (attest.Evidence, attest.Collateral, error) {
	parts, err := t.ask(ctx, opReport, reportData[:])
	if err != nil {
		return attest.Evidence{}, nil, fmt.Errorf("%s report: %w", t.Platform, err)
	}
	ev := attest.Evidence{MediaType: attest.MediaTypeSNP, Value: parts[0]}
	if t.Platform == attest.PlatformTDX {
		ev.MediaType = attest.MediaTypeTDX
	}
	if err := overReportData(t.Platform, ev.Value, reportData); err != nil {
		return attest.Evidence{}, nil, err
	}
	var hints attest.Collateral
	if t.Platform == attest.PlatformSNP {
		// What the host gave along is its own business: a table that cannot
		// be read leaves the client to its own collateral.
		hints, _ = certificateTable(parts[1])
	}
	if t.Hints != nil {
		hints = append(hints, t.Hints(ctx)...)
	}
	return ev, hints[:min(len(hints), attest.MaxHints)], nil
}

// Where the report data lies in a report: REPORT_DATA of table 23 of the SEV-SNP
// ABI (revision 1.58), and REPORTDATA behind header and, in version 5, body
// descriptor of a TD quote (Intel TDX DCAP Quoting Library API, A.3).
const (
	snpReportData = 0x50
	tdxReportData = 48 + 520
	tdxDescriptor = 6
)

// overReportData says whether a report is about these report data: an answer
// that is not would be refused by every verifier, with less to say.
func overReportData(platform string, report []byte, want [64]byte) error {
	at := snpReportData
	if platform == attest.PlatformTDX {
		at = tdxReportData
		if len(report) >= 2 && binary.LittleEndian.Uint16(report) >= 5 {
			at += tdxDescriptor
		}
	}
	if len(report) < at+len(want) || !bytes.Equal(report[at:at+len(want)], want[:]) {
		return fmt.Errorf("%s report: %d bytes that are not about the report data they were asked for", platform, len(report))
	}
	return nil
}

// Start does nothing: HOST_DATA and MRCONFIGID are set at launch and hold the
// digest of the start configuration.
func (t *TSM) Start(context.Context, []byte) error { return nil }

// Claim extends RTMR3 with the SHA-384 digest of event on tdx, if the kernel
// can (Linux 6.16 or later). SNP has no register that grows.
//
// Where there is none, Claim does nothing and hardware does not show a claim:
// there, what keeps a claimed Keep from passing for an empty one is its own
// word in the leaf, as for all else that it says about its state.
func (t *TSM) Claim(ctx context.Context, event []byte) error {
	if t.Platform != attest.PlatformTDX {
		return nil
	}
	digest := sha512.Sum384(event)
	_, err := t.ask(ctx, opExtend, digest[:])
	if errors.Is(err, errNoRegister) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("extend RTMR3: %w", err)
	}
	return nil
}

// ask asks the device and gives up with ctx. A device that was given up is
// never asked again.
func (t *TSM) ask(ctx context.Context, op byte, payload []byte) ([][]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil, t.err
	}
	type answer struct {
		parts [][]byte
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		parts, err := askDevice(t.Device, op, payload)
		done <- answer{parts, err}
	}()
	select {
	case a := <-done:
		var r *refusal
		if a.err != nil && !errors.As(a.err, &r) && !errors.Is(a.err, errNoRegister) {
			t.err = a.err
		}
		return a.parts, a.err
	case <-ctx.Done():
		t.err = errors.New("a request before was given up without an answer")
		return nil, fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
}
