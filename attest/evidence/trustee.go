// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

// findTrusteeSNP takes {attestation_report, cert_chain} of Confidential
// Containers' Trustee: the report as the virtee crate "sev" writes it to JSON,
// member by member. The 1,184 bytes are put together again, which the signature
// then proves or not.
func findTrusteeSNP(o object, _ int) (*Found, error) {
	members, err := o.object("attestation_report")
	if err != nil {
		return nil, malformed(formatTrustee, "%w", err)
	}
	report, err := rebuildReport(members)
	if err != nil {
		return nil, malformed(formatTrustee, `"attestation_report": %w`, err)
	}
	f := one(formatTrustee, attest.PlatformSNP, attest.MediaTypeSNP, report)
	f.Pieces[0].Where = `"attestation_report", put together from its members`
	if o.has("cert_chain") {
		col, err := trusteeChain(o["cert_chain"])
		if err != nil {
			return nil, malformed(formatTrustee, `"cert_chain": %w`, err)
		}
		f.Pieces[0].Collateral = col
	}
	f.leftOver(o, "attestation_report", "cert_chain")
	return f, nil
}

// trusteeChain reads [{cert_type, data}]. The type is hearsay: what a
// certificate is, it says itself.
func trusteeChain(raw json.RawMessage) (attest.Collateral, error) {
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil || len(entries) > maxCollateral {
		return nil, fmt.Errorf("no array of at most %d certificates", maxCollateral)
	}
	var col attest.Collateral
	for i, e := range entries {
		o, err := parseObject(e)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		der, err := o.numbers("data", -1)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if rest := o.except("cert_type", "data"); rest != "" {
			return nil, fmt.Errorf("entry %d: unknown member %s", i, rest)
		}
		more, err := certificates(der)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		col = append(col, more...)
	}
	return col, nil
}

// builder writes members of a JSON object to their places in a report. The
// first error stays.
type builder struct {
	o    object
	b    []byte
	read []string
	err  error
}

func (w *builder) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// array writes an array of n numbers.
func (w *builder) array(key string, at, n int) {
	w.read = append(w.read, key)
	v, err := w.o.numbers(key, n)
	if err != nil {
		w.fail(err)
		return
	}
	copy(w.b[at:], v)
}

// uint writes a number of size bytes, little-endian.
func (w *builder) uint(key string, at, size int) {
	w.read = append(w.read, key)
	limit := uint64(math.MaxUint64)
	if size < 8 {
		limit = 1<<(8*size) - 1
	}
	n, err := w.o.uint(key, limit)
	if err != nil {
		w.fail(err)
		return
	}
	var le [8]byte
	binary.LittleEndian.PutUint64(le[:], n)
	copy(w.b[at:at+size], le[:])
}

// within writes members of an inner object, each one byte, to the offsets.
func (w *builder) within(key string, places map[string]int) {
	w.read = append(w.read, key)
	inner, err := w.o.object(key)
	if err != nil {
		w.fail(err)
		return
	}
	if rest := inner.except(keysOf(places)...); rest != "" {
		w.fail(fmt.Errorf("%q: unknown member %s", key, rest))
		return
	}
	for _, name := range keysOf(places) {
		n, err := inner.uint(name, 255)
		if err != nil {
			w.fail(fmt.Errorf("%q: %w", key, err))
			return
		}
		w.b[places[name]] = byte(n)
	}
}

// tcb writes a firmware level. It has a member "fmc" that is no null in the
// layout of Turin and later (document 56860, "TCB Version").
func (w *builder) tcb(key string, at int) {
	inner, err := w.o.object(key)
	if err != nil {
		w.fail(err)
		return
	}
	if inner.has("fmc") {
		w.within(key, map[string]int{"fmc": at, "bootloader": at + 1, "tee": at + 2, "snp": at + 3, "microcode": at + 7})
		return
	}
	w.within(key, map[string]int{"bootloader": at, "tee": at + 1, "snp": at + 6, "microcode": at + 7})
}

func keysOf(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }

// rebuildReport puts a report together from its members.
func rebuildReport(o object) ([]byte, error) {
	w := &builder{o: o, b: make([]byte, snpreport.Size)}
	w.uint("version", 0x000, 4)
	w.uint("guest_svn", 0x004, 4)
	w.uint("policy", 0x008, 8)
	w.array("family_id", 0x010, 16)
	w.array("image_id", 0x020, 16)
	w.uint("vmpl", 0x030, 4)
	w.uint("sig_algo", 0x034, 4)
	w.tcb("current_tcb", 0x038)
	w.uint("plat_info", 0x040, 8)
	w.uint("key_info", 0x048, 4)
	w.array("report_data", 0x050, 64)
	w.array("measurement", 0x090, 48)
	w.array("host_data", 0x0c0, 32)
	w.array("id_key_digest", 0x0e0, 48)
	w.array("author_key_digest", 0x110, 48)
	w.array("report_id", 0x140, 32)
	w.array("report_id_ma", 0x160, 32)
	w.tcb("reported_tcb", 0x180)
	for i, key := range []string{"cpuid_fam_id", "cpuid_mod_id", "cpuid_step"} {
		if o.has(key) { // from version 3 on
			w.uint(key, 0x188+i, 1)
		}
	}
	w.array("chip_id", 0x1a0, 64)
	w.tcb("committed_tcb", 0x1e0)
	w.within("current", map[string]int{"build": 0x1e8, "minor": 0x1e9, "major": 0x1ea})
	w.within("committed", map[string]int{"build": 0x1ec, "minor": 0x1ed, "major": 0x1ee})
	w.tcb("launch_tcb", 0x1f0)
	for i, key := range []string{"launch_mit_vector", "current_mit_vector"} {
		if o.has(key) { // from version 5 on
			w.uint(key, 0x1f8+8*i, 8)
		}
	}
	w.signature()
	if w.err != nil {
		return nil, w.err
	}
	if rest := o.except(w.read...); rest != "" {
		return nil, fmt.Errorf("unknown member %s: the report cannot be put together", rest)
	}
	return w.b, nil
}

// signature writes r and s, 72 bytes each, little-endian.
func (w *builder) signature() {
	w.read = append(w.read, "signature")
	inner, err := w.o.object("signature")
	if err != nil {
		w.fail(err)
		return
	}
	if rest := inner.except("r", "s"); rest != "" {
		w.fail(fmt.Errorf(`"signature": unknown member %s`, rest))
		return
	}
	for i, key := range []string{"r", "s"} {
		v, err := inner.numbers(key, 72)
		if err != nil {
			w.fail(fmt.Errorf(`"signature": %w`, err))
			return
		}
		copy(w.b[0x2a0+72*i:], v)
	}
}
