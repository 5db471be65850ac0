// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"encoding/hex"
	"time"
)

// The documents that Intel signs, member by member. Names that are not known
// are passed over: new ones have appeared within a version.

func decodeTCBInfo(body []byte, t *tcbInfo) error {
	r := &jsonReader{b: body}
	r.object(func(name []byte) {
		switch string(name) {
		case "id":
			t.ID = string(r.text())
		case "version":
			t.Version = int(r.number(1 << 16))
		case "issueDate":
			t.Issued = r.date()
		case "nextUpdate":
			t.NextUpdate = r.date()
		case "fmspc":
			t.FMSPC = r.hex()
		case "pceId":
			t.PCEID = r.hex()
		case "tcbType":
			n := int(r.number(1 << 16))
			t.Type = &n
		case "tcbEvaluationDataNumber":
			n := r.number(1<<32 - 1)
			t.Evaluation = &n
		case "tdxModule":
			m := r.module()
			t.Module = &m
		case "tdxModuleIdentities":
			r.array(func() { t.Modules = append(t.Modules, r.module()) })
		case "tcbLevels":
			r.array(func() { t.Levels = append(t.Levels, r.platformLevel()) })
		default:
			r.skip()
		}
	})
	return r.end()
}

func decodeQEIdentity(body []byte, q *qeIdentity) error {
	r := &jsonReader{b: body}
	r.object(func(name []byte) {
		switch string(name) {
		case "id":
			q.ID = string(r.text())
		case "version":
			q.Version = int(r.number(1 << 16))
		case "issueDate":
			q.Issued = r.date()
		case "nextUpdate":
			q.NextUpdate = r.date()
		case "tcbEvaluationDataNumber":
			n := r.number(1<<32 - 1)
			q.Evaluation = &n
		case "miscselect":
			q.MiscSelect = r.hex()
		case "miscselectMask":
			q.MiscMask = r.hex()
		case "attributes":
			q.Attributes = r.hex()
		case "attributesMask":
			q.AttrMask = r.hex()
		case "mrsigner":
			q.MRSigner = r.hex()
		case "isvprodid":
			n := uint16(r.number(1<<16 - 1))
			q.ISVProdID = &n
		case "tcbLevels":
			r.array(func() { q.Levels = append(q.Levels, r.partLevel()) })
		default:
			r.skip()
		}
	})
	return r.end()
}

func (r *jsonReader) module() (m tdxModule) {
	r.object(func(name []byte) {
		switch string(name) {
		case "id":
			m.ID = string(r.text())
		case "mrsigner":
			m.MRSigner = r.hex()
		case "attributes":
			m.Attributes = r.hex()
		case "attributesMask":
			m.Mask = r.hex()
		case "tcbLevels":
			r.array(func() { m.Levels = append(m.Levels, r.partLevel()) })
		default:
			r.skip()
		}
	})
	return m
}

func (r *jsonReader) platformLevel() (l tcbLevel) {
	r.object(func(name []byte) {
		switch string(name) {
		case "tcb":
			r.object(func(name []byte) {
				switch string(name) {
				case "sgxtcbcomponents":
					l.TCB.SGX = r.components()
				case "tdxtcbcomponents":
					l.TCB.TDX = r.components()
				case "pcesvn":
					n := uint16(r.number(1<<16 - 1))
					l.TCB.PCESVN = &n
				default:
					r.skip()
				}
			})
		default:
			r.levelMember(name, &l.Date, &l.Status, &l.Advisories)
		}
	})
	return l
}

func (r *jsonReader) partLevel() (l partLevel) {
	r.object(func(name []byte) {
		switch string(name) {
		case "tcb":
			r.object(func(name []byte) {
				switch string(name) {
				case "isvsvn":
					n := uint16(r.number(1<<16 - 1))
					l.TCB.ISVSVN = &n
				default:
					r.skip()
				}
			})
		default:
			r.levelMember(name, &l.Date, &l.Status, &l.Advisories)
		}
	})
	return l
}

// levelMember reads what the levels of platforms and of parts have in common.
func (r *jsonReader) levelMember(name []byte, date *time.Time, status *Status, advisories *[]string) {
	switch string(name) {
	case "tcbDate":
		*date = r.date()
	case "tcbStatus":
		*status = Status(r.text())
	case "advisoryIDs":
		*advisories = []string{}
		r.array(func() { *advisories = append(*advisories, string(r.text())) })
	default:
		r.skip()
	}
}

// components reads the components of a level. There are sixteen of them, and
// their numbers share one piece of memory; if there are more, the check of
// their count fails.
func (r *jsonReader) components() []component {
	list, svns := make([]component, 0, 16), new([17]uint8)
	r.array(func() {
		var c component
		r.object(func(name []byte) {
			switch string(name) {
			case "svn":
				n := &svns[min(len(list), 16)]
				*n, c.SVN = uint8(r.number(0xff)), n
			default:
				r.skip()
			}
		})
		if len(list) <= 16 {
			list = append(list, c)
		}
	})
	return list
}

func (r *jsonReader) hex() hexBytes {
	text := r.text()
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil {
		r.fail("no hexadecimal digits")
	}
	return b
}

func (r *jsonReader) date() (t time.Time) {
	if err := t.UnmarshalText(r.text()); err != nil {
		r.fail("no date of RFC 3339")
	}
	return t
}
