// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

const (
	wantLog = "each register that the log has events for, replayed, is the quote's"
	logTodo = "the log is not of this TD, or not whole; ask for it together with the quote, or leave it out"
)

// checkEventLogs replays the logs among the collateral, each kind once.
func checkEventLogs(a *dcap.Appraisal, td *dcap.TDReport, col attest.Collateral) {
	found := false
	for _, kind := range []struct {
		media string
		parse func([]byte) (*eventlog.Log, error)
	}{{attest.MediaTypeEventLog, eventlog.Parse}, {attest.MediaTypeDstackLog, eventlog.ParseDstack}} {
		raw, n := onlyLog(col, kind.media)
		if n == 0 {
			continue
		}
		found = true
		if n > 1 {
			a.Check(false, attest.ReasonEventLog, "event-log", fmt.Sprintf("%d different logs of type %s", n, kind.media), "one", "rule of this verifier", logTodo)
			continue
		}
		checkEventLog(a, td, raw, kind.parse)
	}
	if !found {
		a.NotChecked("event-log", "no log came along; the registers are proven, and what was measured into them is not told")
	}
}

// onlyLog finds the log of a type and counts how many different ones there are.
func onlyLog(col attest.Collateral, media string) (raw []byte, n int) {
	for _, e := range col {
		if e.MediaType == media && (n == 0 || !bytes.Equal(e.Value, raw)) {
			raw, n = e.Value, n+1
		}
	}
	return raw, n
}

func checkEventLog(a *dcap.Appraisal, td *dcap.TDReport, raw []byte, parse func([]byte) (*eventlog.Log, error)) {
	const source = "the quote's registers"
	fail := func(seen string) { a.Check(false, attest.ReasonEventLog, "event-log", seen, wantLog, source, logTodo) }
	l, err := parse(raw)
	if err != nil {
		fail(err.Error())
		return
	}
	regs, err := l.Replay(eventlog.SHA384)
	if err != nil {
		fail(err.Error())
		return
	}
	var seen []string
	events := 0
	for i, rtmr := range td.RTMR {
		r := regs[uint32(i)+1] // index 0 is MRTD
		delete(regs, uint32(i)+1)
		switch {
		case r.Events == 0 && rtmr == [48]byte{}:
			continue
		case r.Events == 0:
			seen = append(seen, fmt.Sprintf("RTMR%d is not zero and has no event", i))
			continue
		case !bytes.Equal(r.Value, rtmr[:]):
			fail(fmt.Sprintf("RTMR%d is %x after %d events", i, r.Value, r.Events))
			return
		}
		events += r.Events
		seen = append(seen, fmt.Sprintf("RTMR%d by %d events", i, r.Events))
	}
	if len(regs) != 0 {
		fail(fmt.Sprintf("events of registers that no TD extends: %v", slices.Sorted(maps.Keys(regs))))
		return
	}
	if events == 0 {
		fail("a log without any event that was measured")
		return
	}
	a.Check(true, "", "event-log", strings.Join(seen, ", "), wantLog, source, "")
}
