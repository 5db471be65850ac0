// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// signedDocument is a body with Intel's signature of its exact bytes.
type signedDocument struct {
	body      []byte
	signature [signatureSize]byte
}

// splitDocument cuts {"name":BODY,"signature":"HEX"} apart, in exactly the form
// that the PCS serves, with line ends after it if any. Nothing is decoded
// before the signature has been checked, so every byte outside of the body has
// one accepted value.
func splitDocument(b []byte, name string) (*signedDocument, error) {
	want := `{"` + name + `":{...},"signature":"<128 lower-case hexadecimal digits>"}`
	b = bytes.TrimRight(b, "\r\n")
	rest, ok := bytes.CutPrefix(b, []byte(`{"`+name+`":`))
	const middle = `,"signature":"`
	const tail = len(middle) + 2*signatureSize + len(`"}`)
	if !ok || len(rest) <= tail {
		return nil, fmt.Errorf("no signed document, expected %s", want)
	}
	body, end := rest[:len(rest)-tail], rest[len(rest)-tail:]
	digits := end[len(middle) : len(end)-2]
	d := &signedDocument{body: body}
	if !bytes.HasPrefix(end, []byte(middle)) || !bytes.HasSuffix(end, []byte(`"}`)) || !bytes.Equal(digits, bytes.ToLower(digits)) {
		return nil, fmt.Errorf("no signed document, expected %s", want)
	}
	if _, err := hex.Decode(d.signature[:], digits); err != nil {
		return nil, fmt.Errorf("signature is not hexadecimal, expected %s", want)
	}
	return d, nil
}

// component is one component of a TCB level.
type component struct {
	SVN *uint8 `json:"svn"`
}

// tcbLevel is one level of a platform.
type tcbLevel struct {
	TCB struct {
		SGX    []component `json:"sgxtcbcomponents"`
		TDX    []component `json:"tdxtcbcomponents"`
		PCESVN *uint16     `json:"pcesvn"`
	} `json:"tcb"`
	Date       time.Time `json:"tcbDate"`
	Status     Status    `json:"tcbStatus"`
	Advisories []string  `json:"advisoryIDs"`
}

// partLevel is one level of a TDX module or of a quoting enclave.
type partLevel struct {
	TCB struct {
		ISVSVN *uint16 `json:"isvsvn"`
	} `json:"tcb"`
	Date       time.Time `json:"tcbDate"`
	Status     Status    `json:"tcbStatus"`
	Advisories []string  `json:"advisoryIDs"`
}

// tdxModule is what a TDX module must look like.
type tdxModule struct {
	ID         string      `json:"id"`
	MRSigner   hexBytes    `json:"mrsigner"`
	Attributes hexBytes    `json:"attributes"`
	Mask       hexBytes    `json:"attributesMask"`
	Levels     []partLevel `json:"tcbLevels"`
}

// tcbInfo is the TCB info of one platform model (PCS API v3: version 2, SGX
// only; API v4: version 3).
type tcbInfo struct {
	ID         string      `json:"id"`
	Version    int         `json:"version"`
	Issued     time.Time   `json:"issueDate"`
	NextUpdate time.Time   `json:"nextUpdate"`
	FMSPC      hexBytes    `json:"fmspc"`
	PCEID      hexBytes    `json:"pceId"`
	Type       *int        `json:"tcbType"`
	Evaluation *uint32     `json:"tcbEvaluationDataNumber"`
	Module     *tdxModule  `json:"tdxModule"`
	Modules    []tdxModule `json:"tdxModuleIdentities"`
	Levels     []tcbLevel  `json:"tcbLevels"`
}

// hexBytes is a byte string in hexadecimal of either case.
type hexBytes []byte

// UnmarshalText reads hexadecimal digits.
func (h *hexBytes) UnmarshalText(text []byte) error {
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil {
		return err
	}
	*h = b
	return nil
}

// parseTCBInfo reads the body of a TCB info whose signature has been checked.
// It is strict all the same: Intel signs other documents with the same key.
func parseTCBInfo(body []byte, tee TEE) (*tcbInfo, error) {
	t := &tcbInfo{}
	if err := decodeTCBInfo(body, t); err != nil {
		return nil, fmt.Errorf("TCB info is not of the expected form: %w", err)
	}
	want := tee.String()
	if t.Version == 2 && tee == SGX {
		want = "" // version 2 knows SGX only and does not name it
		if err := t.levelsV2(body); err != nil {
			return nil, err
		}
	}
	switch {
	case len(t.FMSPC) == 6 && (t.Version == 3 && t.ID != want && t.ID != "" || t.Version == 2 && t.ID == "" && tee != SGX):
		return nil, fault.New(attest.ReasonCollateralForeign, "TCB info of version %d and id %s, expected one of %s", t.Version, shown(t.ID), tee)
	case t.ID != want || t.Version != 3 && want != "":
		return nil, fmt.Errorf("TCB info version %d of id %s, expected version 3 of %s (or 2 for SGX)", t.Version, shown(t.ID), tee)
	case len(t.FMSPC) != 6 || len(t.PCEID) != 2 || t.Type == nil || *t.Type != 0 || t.Evaluation == nil:
		return nil, fmt.Errorf("TCB info without FMSPC, PCEID, type 0 or evaluation number")
	case len(t.Levels) == 0 || len(t.Levels) > maxLevels:
		return nil, fmt.Errorf("TCB info with %d levels, expected 1 to %d", len(t.Levels), maxLevels)
	}
	for i := range t.Levels {
		if err := t.Levels[i].check(tee); err != nil {
			return nil, fmt.Errorf("TCB level %d: %w", i, err)
		}
	}
	if tee == TDX {
		return t, t.checkModules()
	}
	return t, nil
}

// levelsV2 fills in the components of version 2, where each has a name.
func (t *tcbInfo) levelsV2(body []byte) error {
	var v2 struct {
		Levels []struct {
			TCB map[string]uint16 `json:"tcb"`
		} `json:"tcbLevels"`
	}
	if err := json.Unmarshal(body, &v2); err != nil || len(v2.Levels) != len(t.Levels) {
		return fmt.Errorf("TCB info of version 2 is not of the expected form")
	}
	for i, l := range v2.Levels {
		t.Levels[i].TCB.SGX = nil
		for c := range 16 {
			n, ok := l.TCB[fmt.Sprintf("sgxtcbcomp%02dsvn", c+1)]
			if !ok || n > 0xff {
				return fmt.Errorf("TCB level %d without component %d", i, c+1)
			}
			svn := uint8(n)
			t.Levels[i].TCB.SGX = append(t.Levels[i].TCB.SGX, component{&svn})
		}
	}
	return nil
}

func (l *tcbLevel) check(tee TEE) error {
	lists := [][]component{l.TCB.SGX}
	if tee == TDX {
		lists = append(lists, l.TCB.TDX)
	}
	for _, list := range lists {
		if len(list) != 16 {
			return fmt.Errorf("%d components, expected 16", len(list))
		}
		for i, c := range list {
			if c.SVN == nil {
				return fmt.Errorf("component %d without a number", i+1)
			}
		}
	}
	if l.TCB.PCESVN == nil || !levelStatus(l.Status) || len(l.Advisories) > maxAdvisories {
		return fmt.Errorf("status %s, expected one that is known, a PCESVN and at most %d advisories", shown(string(l.Status)), maxAdvisories)
	}
	return nil
}

func (t *tcbInfo) checkModules() error {
	if t.Module == nil || !t.Module.valid() {
		return fmt.Errorf("TCB info without a TDX module")
	}
	if len(t.Modules) > maxModules {
		return fmt.Errorf("TCB info with %d TDX modules, expected at most %d", len(t.Modules), maxModules)
	}
	for i := range t.Modules {
		if !t.Modules[i].valid() {
			return fmt.Errorf("identity of TDX module %s is not of the expected form", shown(t.Modules[i].ID))
		}
		if err := checkPartLevels(t.Modules[i].Levels); err != nil {
			return fmt.Errorf("TDX module %s: %w", shown(t.Modules[i].ID), err)
		}
	}
	return nil
}

func (m *tdxModule) valid() bool {
	return len(m.MRSigner) == 48 && len(m.Attributes) == 8 && len(m.Mask) == 8
}

// fits says whether a TDX module's signer and attributes are those of m. No
// attribute is defined, so whatever the mask says, none may be set.
func (m *tdxModule) fits(td *TDReport) bool {
	return td.SEAMAttributes == [8]byte{} && bytes.Equal(m.MRSigner, td.MRSignerSEAM[:]) && maskedEqual(td.SEAMAttributes[:], m.Mask, m.Attributes)
}

// maskedEqual says whether got, under mask, is want. All have the same length.
func maskedEqual(got, mask, want []byte) bool {
	if len(got) != len(mask) || len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}

func checkPartLevels(levels []partLevel) error {
	if len(levels) == 0 || len(levels) > maxLevels {
		return fmt.Errorf("%d levels, expected 1 to %d", len(levels), maxLevels)
	}
	for i, l := range levels {
		if l.TCB.ISVSVN == nil || !partStatus(l.Status) || len(l.Advisories) > maxAdvisories {
			return fmt.Errorf("level %d: status %s, expected one that is known, an ISVSVN and at most %d advisories", i, shown(string(l.Status)), maxAdvisories)
		}
	}
	return nil
}

// moduleNamed finds the identity of a TDX module by its version, "TDX_03".
func (t *tcbInfo) moduleNamed(version uint8) *tdxModule {
	for i := range t.Modules {
		if strings.EqualFold(t.Modules[i].ID, fmt.Sprintf("TDX_%02X", version)) {
			return &t.Modules[i]
		}
	}
	return nil
}
