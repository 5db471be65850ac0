// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/dcaptest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
)

// logRows are the rows of event logs in a verdict.
func logRows(v attest.Verdict) (rows []attest.Row) {
	for _, r := range v {
		if r.Check == "tdx.event-log" {
			rows = append(rows, r)
		}
	}
	return rows
}

// Logs of real TDs replay to the registers of their quotes, with what the
// publishers say; the chain is another test's concern.
func TestRealEventLogs(t *testing.T) {
	read := func(path string) []byte {
		b, err := os.ReadFile("../internal/" + path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cos := read("eventlog/testdata/v4-00806f-gcp-cos113.ccel-data.bin")
	dstack := read("eventlog/testdata/v4-90c06f-dstack.eventlog.json")
	pre := read("eventlog/testdata/v4-preproduction-root.ccel-data.bin")
	entry := func(media string, b []byte) attest.Evidence { return attest.Evidence{MediaType: media, Value: b} }
	tcg := func(b []byte) attest.Collateral { return attest.Collateral{entry(attest.MediaTypeEventLog, b)} }
	js := func(b []byte) attest.Collateral { return attest.Collateral{entry(attest.MediaTypeDstackLog, b)} }
	cut := bytes.LastIndex(dstack, []byte(`,{"imr":3`))
	for _, x := range []struct {
		name, quote string
		col         attest.Collateral
		seen        []string // one row each
		ok          bool
	}{
		{"Google Cloud", "v4-00806f-gcp-cos113", tcg(cos), []string{"RTMR0 by 16 events, RTMR1 by 7 events, RTMR2 by 20 events"}, true},
		{"twice the same", "v4-00806f-gcp-cos113", append(tcg(cos), tcg(cos)...), []string{"RTMR0 by"}, true},
		{"without its padding", "v4-00806f-gcp-cos113", tcg(cos[:18101]), []string{"RTMR0 by"}, true},
		{"dstack", "v4-90c06f-dstack", js(dstack), []string{"RTMR3 by 8 events"}, true},
		{"no log", "v4-90c06f-dstack", nil, []string{"no log came along"}, true},
		{"pre-production", "v4-preproduction-root", tcg(pre), []string{"RTMR2 is "}, false},
		{"another TD's", "v4-90c06f-dstack", tcg(cos), []string{"RTMR0 is "}, false},
		{"a TD without registers", "v4-90c06f-azure-vtpm", tcg(cos), []string{"RTMR0 is "}, false},
		{"both, one of them another's", "v4-90c06f-dstack", append(tcg(cos), js(dstack)...), []string{"RTMR0 is ", "RTMR3 by"}, false},
		{"two different", "v4-00806f-gcp-cos113", append(tcg(cos), tcg(pre)...), []string{"2 different logs"}, false},
		{"one event short", "v4-90c06f-dstack", js(append(bytes.Clone(dstack[:cut]), ']')), []string{"RTMR3 is "}, false},
		{"nothing in it", "v4-90c06f-dstack", js([]byte("[]")), []string{"without any event"}, false},
		{"cut", "v4-00806f-gcp-cos113", tcg(cos[:18000]), []string{"of which"}, false},
		{"empty", "v4-00806f-gcp-cos113", tcg(nil), []string{"event 0"}, false},
		{"of the other form", "v4-90c06f-dstack", tcg(dstack), []string{"event 0"}, false},
	} {
		_, v := New(Options{}).Verify(evidence(read("dcap/testdata/tdx/"+x.quote+".quote.bin")), x.col, attest.Expected{}, dcaptest.Made)
		rows := logRows(v)
		ok := len(rows) == len(x.seen)
		for i, r := range rows {
			ok = ok && strings.Contains(r.Seen, x.seen[i]) && (r.Outcome != attest.Fail || r.Reason == attest.ReasonEventLog && r.Todo != "")
			if x.ok {
				ok = ok && r.Outcome != attest.Fail
			}
		}
		if failed := strings.Contains(failures(v), "event-log"); !ok || failed == x.ok {
			t.Errorf("%s: failed %v, rows %+v", x.name, failed, rows)
		}
		for _, r := range v {
			if r.Check == "tdx.collateral" {
				t.Errorf("%s: the log is called unneeded: %+v", x.name, r)
			}
		}
	}
}

// extend is what a TD does, and ccel a log of it in TCG form.
func extend(reg *[48]byte, digest [48]byte) {
	*reg = sha512.Sum384(append(reg[:], digest[:]...))
}

func ccel(events ...struct {
	index  uint32
	digest [48]byte
}) []byte {
	le := binary.LittleEndian
	spec := append([]byte("Spec ID Event03\x00\x00\x00\x00\x00\x00\x02\x00\x02\x01\x00\x00\x00"), 0x0c, 0, 48, 0, 0)
	b := le.AppendUint32(le.AppendUint32(nil, 1), 3)
	b = append(le.AppendUint32(append(b, make([]byte, 20)...), uint32(len(spec))), spec...)
	for _, e := range events {
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, e.index), 8), 1)
		b = append(le.AppendUint16(b, 0x0c), e.digest[:]...)
		b = le.AppendUint32(b, 0)
	}
	return b
}

// A log must account for all of a register that it has events for, and may be
// silent about others; a verdict that fails for it alone gives no claims.
func TestEventLog(t *testing.T) {
	type event = struct {
		index  uint32
		digest [48]byte
	}
	one, two := [48]byte{1}, [48]byte{2}
	var r3 [48]byte
	extend(&r3, one)
	extend(&r3, two)
	v := dcaptest.New(t)
	set := v.Make(dcaptest.Spec{Body: func(b []byte) { copy(b[dcaptest.TDRTMR0+3*48:], r3[:]) }})
	for _, x := range []struct {
		name, seen string
		log        []byte
		ok         bool
	}{
		{"RTMR3", "RTMR0 is not zero and has no event, RTMR1 is not zero and has no event, RTMR2 is not zero and has no event, RTMR3 by 2 events", ccel(event{4, one}, event{4, two}), true},
		{"too short", "after 1 events", ccel(event{4, one}), false},
		{"another order", "RTMR3 is", ccel(event{4, two}, event{4, one}), false},
		{"too long", "after 3 events", ccel(event{4, one}, event{4, two}, event{4, two}), false},
		{"MRTD extended", "registers that no TD extends: [0]", ccel(event{4, one}, event{4, two}, event{0, one}), false},
		{"register 5", "registers that no TD extends: [5 7]", ccel(event{4, one}, event{4, two}, event{7, one}, event{5, one}), false},
		{"head alone", "without any event", ccel(), false},
		{"too large", "expected at most", make([]byte, 1<<20), false},
	} {
		col := append(attest.Collateral{{MediaType: attest.MediaTypeEventLog, Value: x.log}}, set.Collateral...)
		c, verdict := under(v, Options{}).Verify(evidence(set.Quote), col, expected(), dcaptest.Made)
		rows := logRows(verdict)
		if (c != nil) != x.ok || len(rows) != 1 || !strings.Contains(rows[0].Seen, x.seen) || !x.ok && (failures(verdict) != "event-log" || verdict.Reason() != attest.ReasonEventLog) {
			t.Errorf("%s: claims %v, %q, rows %+v", x.name, c != nil, failures(verdict), rows)
		}
	}
	// An enclave has no registers: there, a log is nothing that was needed.
	enclave := v.Make(dcaptest.SGX())
	col := append(attest.Collateral{{MediaType: attest.MediaTypeEventLog, Value: ccel()}}, enclave.Collateral...)
	p := dcap.Params{Platform: "sgx", TEE: dcap.SGX, MediaType: attest.MediaTypeSGX, Root: dcap.NewRoot(&v.Root.PublicKey, "the test")}
	_, verdict := dcap.Appraise(p, attest.Evidence{MediaType: attest.MediaTypeSGX, Value: enclave.Quote}, col, attest.TCBPolicy{}, dcaptest.Made).Finish(attest.Claims{})
	if s := fmt.Sprint(verdict); !strings.Contains(s, "entry 0 of type") {
		t.Error("a log beside an enclave's quote is not named as unneeded")
	}
}
