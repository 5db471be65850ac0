// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/attest/internal/tpm"
)

// isTPMToolsMessage recognises the Attestation message of go-tpm-tools: field
// 1, the AK's public area (TPMT_PUBLIC of RSA or ECC), then field 2, a quote.
func isTPMToolsMessage(b []byte) bool {
	if len(b) < 8 || b[0] != 0x0a {
		return false
	}
	n, used := binary.Uvarint(b[1:])
	if used <= 0 || n < 4 || n > 4096 || uint64(1+used)+n >= uint64(len(b)) {
		return false
	}
	public, rest := b[1+used:1+used+int(n)], b[1+used+int(n):]
	kind := binary.BigEndian.Uint16(public)
	return (kind == 0x01 || kind == 0x23) && rest[0] == 0x12
}

// maxFields bounds the fields of one protobuf message that is read here: the
// largest, a list of registers, has 25.
const maxFields = 64

// protobuf reads the fields of a message in the order in which they stand. Only
// numbers and bytes occur in the messages that are read here.
func protobuf(b []byte, visit func(field, number uint64, value []byte) error) error {
	for n := 0; len(b) > 0; n++ {
		key, used := binary.Uvarint(b)
		if used <= 0 || key>>3 == 0 || n == maxFields {
			return fmt.Errorf("protobuf: no field, or more than %d", maxFields)
		}
		b = b[used:]
		number, used := binary.Uvarint(b)
		if used <= 0 {
			return fmt.Errorf("protobuf: field %d without a value", key>>3)
		}
		b = b[used:]
		var value []byte
		switch key & 7 {
		case 0:
		case 2:
			if number > uint64(len(b)) {
				return fmt.Errorf("protobuf: field %d of %d bytes, of which %d are there", key>>3, number, len(b))
			}
			value, b = b[:number:number], b[number:]
			if value == nil {
				value = []byte{}
			}
		default:
			return fmt.Errorf("protobuf: field %d of wire type %d, expected 0 or 2", key>>3, key&7)
		}
		if err := visit(key>>3, number, value); err != nil {
			return err
		}
	}
	return nil
}

// toolsQuote is a Quote of go-tpm-tools (proto/tpm.proto).
type toolsQuote struct {
	quote, signature []byte
	bank             uint64
	pcrs             map[uint64][]byte
}

func readToolsQuote(b []byte) (*toolsQuote, error) {
	q := &toolsQuote{pcrs: map[uint64][]byte{}}
	pair := func(b []byte) error {
		var index uint64
		var digest []byte
		err := protobuf(b, func(field, number uint64, value []byte) error {
			switch {
			case field == 1 && value == nil:
				index = number
			case field == 2 && value != nil:
				digest = value
			default:
				return fmt.Errorf("protobuf: register with field %d", field)
			}
			return nil
		})
		if _, twice := q.pcrs[index]; twice && err == nil {
			err = fmt.Errorf("register %d twice", index)
		}
		q.pcrs[index] = digest
		return err
	}
	registers := func(field, number uint64, value []byte) error {
		switch {
		case field == 1 && value == nil:
			q.bank = number
			return nil
		case field == 2 && value != nil:
			return pair(value)
		}
		return fmt.Errorf("protobuf: registers with field %d", field)
	}
	return q, protobuf(b, func(field, _ uint64, value []byte) error {
		switch {
		case field == 1 && value != nil && q.quote == nil:
			q.quote = value
		case field == 2 && value != nil && q.signature == nil:
			q.signature = value
		case field == 3 && value != nil && q.bank == 0:
			return protobuf(value, registers)
		default:
			return fmt.Errorf("protobuf: quote with field %d", field)
		}
		return nil
	})
}

// toolsMessage is an Attestation of go-tpm-tools (proto/attest.proto).
type toolsMessage struct {
	tpmParts
	quotes []*toolsQuote
	rest   []string // fields that are not read
}

func (m *toolsMessage) field(field, _ uint64, value []byte) error {
	if value == nil {
		return fmt.Errorf("protobuf: field %d is a number", field)
	}
	once := map[uint64]*[]byte{1: &m.Public, 3: &m.EventLog}
	switch to := once[field]; {
	case to != nil && *to != nil:
		return fmt.Errorf("protobuf: field %d twice", field)
	case to != nil:
		*to = value
	case field == 2:
		q, err := readToolsQuote(value)
		m.quotes = append(m.quotes, q)
		return err
	case field == 6 || field == 7:
		col, err := certificates(value)
		m.certs = append(m.certs, col...)
		return err
	default:
		m.rest = append(m.rest, fmt.Sprint(field))
	}
	return nil
}

// findTPMTools takes a message apart. Of its quotes, one for each bank, that of
// the SHA-256 bank is taken if it is there: one is enough, since each is over
// all registers.
func findTPMTools(b []byte) (*Found, error) {
	m := &toolsMessage{}
	if err := protobuf(b, m.field); err != nil {
		return nil, malformed(formatTPMTools, "%w", err)
	}
	if len(m.quotes) == 0 {
		return nil, malformed(formatTPMTools, "no quote in it")
	}
	best := slices.MinFunc(m.quotes, func(a, b *toolsQuote) int { return a.rank() - b.rank() })
	m.Quote, m.Signature = best.quote, best.signature
	if err := m.setPCRs(best.pcrs); err != nil {
		return nil, malformed(formatTPMTools, "%w", err)
	}
	if uint64(m.Bank) != best.bank {
		return nil, malformed(formatTPMTools, "registers of bank %v with digests of %v", tpm.Alg(best.bank), tpm.Alg(m.Bank))
	}
	p, err := m.piece("the quote of bank " + tpm.Alg(m.Bank).String())
	if err != nil {
		return nil, malformed(formatTPMTools, "%w", err)
	}
	f := &Found{Format: formatTPMTools, Pieces: []Piece{p}}
	var others []string
	for _, q := range m.quotes {
		if q != best {
			others = append(others, tpm.Alg(q.bank).String())
		}
	}
	if len(others) > 0 {
		f.notRead("quotes of bank "+strings.Join(others, ", "), "nothing: they speak of the same registers with other digests")
	}
	if len(m.rest) > 0 {
		f.notRead("fields "+strings.Join(m.rest, ", ")+" of the message", "nothing: they are not part of the quote (5 is another event log, 8 and 9 are evidence of the TEE, to be given by itself)")
	}
	return f, nil
}

// rank is lower for the bank that is preferred: SHA-256, then the longer ones.
func (q *toolsQuote) rank() int {
	return slices.Index([]uint64{uint64(tpm.AlgSHA256), uint64(tpm.AlgSHA384), uint64(tpm.AlgSHA512), q.bank}, q.bank)
}

// findGoAttestation takes the dump of google/go-attestation's tests.
func findGoAttestation(o object, _ int) (*Found, error) {
	var p tpmParts
	fail := func(err error) (*Found, error) { return nil, malformed(formatGoAttestation, "%w", err) }
	ak, err := o.object("AK")
	if err != nil {
		return fail(err)
	}
	quote, err := o.object("Quote")
	if err != nil {
		return fail(err)
	}
	log, err := o.object("Log")
	if err != nil {
		return fail(err)
	}
	for _, x := range []struct {
		o   object
		key string
		to  *[]byte
	}{{ak, "Public", &p.Public}, {quote, "Quote", &p.Quote}, {quote, "Signature", &p.Signature}, {log, "Raw", &p.EventLog}} {
		if *x.to, err = x.o.bytes(x.key); err != nil {
			return fail(err)
		}
	}
	pcrs, err := indexedPCRs(log)
	if err == nil {
		err = p.setPCRs(pcrs)
	}
	if err != nil {
		return fail(err)
	}
	piece, err := p.piece(`"Quote"`)
	if err != nil {
		return fail(err)
	}
	f := &Found{Format: formatGoAttestation, Pieces: []Piece{piece}}
	f.notRead(`"AK.CreateAttestation"`, "nothing: a key that certifies its own creation proves no more than its own signature does")
	f.leftOver(o, "AK", "Quote", "Log", "Static")
	return f, nil
}

// indexedPCRs reads [{Index, Digest, DigestAlg}].
func indexedPCRs(log object) (map[uint64][]byte, error) {
	list, err := log.list("PCRs", tpm.PCRs)
	if err != nil {
		return nil, err
	}
	pcrs := map[uint64][]byte{}
	for _, raw := range list {
		o, err := parseObject(raw)
		if err != nil {
			return nil, err
		}
		i, err := o.uint("Index", tpm.PCRs-1)
		if err != nil {
			return nil, err
		}
		if _, twice := pcrs[i]; twice {
			return nil, fmt.Errorf("register %d twice", i)
		}
		if pcrs[i], err = o.bytes("Digest"); err != nil {
			return nil, err
		}
	}
	return pcrs, nil
}
