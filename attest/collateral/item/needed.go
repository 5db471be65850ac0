// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package item

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
	"github.com/enarx/enarx-go/attest/snp"
)

// Hint is what the asker knows and evidence may not say.
type Hint struct {
	// Line is the product line of snp reports that do not name their CPU
	// (versions below 3) and of CPUs that are not known here.
	Line string
	// Evaluation is as in [Item].
	Evaluation string
}

// Need is one thing that evidence needs.
type Need struct {
	// Any are the items of which one is enough, the likeliest first: more
	// than one only where the evidence does not say its product line.
	Any []Item
	// Why is for people.
	Why string
}

// ErrOther is wrapped where evidence is of a kind that this package knows
// nothing to get for.
var ErrOther = errors.New("no vendor service has collateral for this evidence")

// Needed computes what the verification of ev needs besides ev, from what ev
// says of itself; nothing of that is proven. have is what came along with it: a
// VCEK, VLEK or PCK certificate in it is not asked for again and says what else
// is needed. Lists and documents in have do not count: they age, and a cache
// knows better.
//
// Where the certificate itself has to be found first, the needs are that
// certificate only, if without it the rest cannot be told; call Needed again
// with it in have.
func Needed(ev attest.Evidence, have attest.Collateral, h Hint) ([]Need, error) {
	switch ev.MediaType {
	case attest.MediaTypeSNP:
		return neededSNP(ev, have, h)
	case attest.MediaTypeTDX, attest.MediaTypeSGX:
		return neededIntel(ev, have, h)
	case attest.MediaTypeNitro:
		return neededNitro(ev)
	}
	return nil, fmt.Errorf("evidence of type %s: %w", shown(ev.MediaType), ErrOther)
}

func neededSNP(ev attest.Evidence, have attest.Collateral, h Hint) ([]Need, error) {
	r, err := snpreport.Parse(ev.Value)
	if err != nil {
		return nil, err
	}
	lines, err := snp.Lines()
	if err != nil {
		return nil, err
	}
	level := hex.EncodeToString(r.ReportedTCB[:])
	switch r.SigningKey {
	case snpreport.KeyVLEK:
		it := Item{Kind: VLEK, TCB: level}
		name, known := leafLine(lines, r, have)
		if !known {
			if name, err = oneLine(lines, r, h); err != nil {
				return nil, err
			}
			it.Line = name
			return append(lineNeeds(name, "vlek"), Need{[]Item{it}, "the key that signed the report"}), nil
		}
		return lineNeeds(name, "vlek"), nil
	case snpreport.KeyVCEK:
	default:
		return nil, fmt.Errorf("the report names no signing key (%d), expected VCEK or VLEK", r.SigningKey)
	}
	if name, known := leafLine(lines, r, have); known {
		return lineNeeds(name, "vcek"), nil
	}
	if r.ChipID == [64]byte{} {
		return nil, fmt.Errorf("the host masks the chip id, so no VCEK can be asked for; take the VCEK from the host's certificate table")
	}
	names, err := linesOf(lines, r, h)
	if err != nil {
		return nil, err
	}
	leaf := Need{Why: "the key that signed the report"}
	for _, name := range names {
		leaf.Any = append(leaf.Any, Item{Kind: VCEK, Line: name, Chip: chipText(lines, name, r), TCB: level})
	}
	if len(names) > 1 {
		leaf.Why += "; a report of version " + fmt.Sprint(r.Version) + " does not say of which product line"
		return []Need{leaf}, nil
	}
	return append([]Need{leaf}, lineNeeds(names[0], "vcek")...), nil
}

// lineNeeds are chain and list of a product line.
func lineNeeds(line, key string) []Need {
	return []Need{
		{[]Item{{Kind: AMDChain, Line: line, Key: key}}, "the intermediate that signed that key, should it be newer than those built in"},
		{[]Item{{Kind: AMDList, Line: line}}, "says whether the intermediate has been revoked"},
	}
}

// leafLine is the line of the key in have that signed r, by kind, level and
// chip: the key of another machine does not spare this one's.
func leafLine(lines []snpreport.Line, r *snpreport.Report, have attest.Collateral) (string, bool) {
	kind := r.SigningKey
	var others [][]byte
	for _, e := range have {
		if e.MediaType == attest.MediaTypeCertificate && len(others) < MaxParts {
			if _, err := snpreport.CheckAuthorities(lines, kind, [][]byte{e.Value}); err == nil {
				others = append(others, e.Value)
			}
		}
	}
	for _, e := range have {
		if e.MediaType != attest.MediaTypeCertificate {
			continue
		}
		got, err := snpreport.CheckLeaf(lines, kind, e.Value, others)
		if err != nil {
			continue
		}
		level, err := r.ReportedTCB.Decode(got.TCB.HasFMC())
		masked := r.ChipID == [64]byte{} // as with a VLEK
		if err == nil && level == got.TCB && (masked || got.ChipID == r.ChipID) {
			return got.Line, true
		}
	}
	return "", false
}

// linesOf are the lines that r can be of, the likeliest first.
func linesOf(lines []snpreport.Line, r *snpreport.Report, h Hint) ([]string, error) {
	if r.Version >= 3 {
		if l := snpreport.LineOf(lines, r.Family, r.Model); l != nil {
			return []string{l.Name}, nil
		}
	}
	if h.Line != "" {
		return []string{h.Line}, nil
	}
	if r.Version >= 3 {
		return nil, fmt.Errorf("CPU of family %#x, model %#x, of no product line that is known here; name its line", r.Family, r.Model)
	}
	// Hardware ids tell Turin, with its 8 bytes, from the lines before it.
	short := [56]byte(r.ChipID[8:]) == [56]byte{}
	var names []string
	for _, l := range lines {
		if l.HasFMC == short {
			names = append(names, l.Name)
		}
	}
	return names, nil
}

// oneLine is for where only one line will do.
func oneLine(lines []snpreport.Line, r *snpreport.Report, h Hint) (string, error) {
	names, err := linesOf(lines, r, h)
	if err == nil && len(names) != 1 {
		err = fmt.Errorf("a report of version %d does not say of which product line it is; name the line, or give the VLEK along", r.Version)
	}
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// chipText is the hardware id in the length of the line.
func chipText(lines []snpreport.Line, name string, r *snpreport.Report) string {
	for _, l := range lines {
		if l.Name == name && l.HasFMC {
			return hex.EncodeToString(r.ChipID[:8])
		}
	}
	return hex.EncodeToString(r.ChipID[:])
}

func neededIntel(ev attest.Evidence, have attest.Collateral, h Hint) ([]Need, error) {
	q, err := dcap.ParseQuote(ev.Value)
	if err != nil {
		return nil, err
	}
	o, err := dcap.FindOrigin(q)
	if err != nil || !o.HasPCK {
		if from, found := pckIn(have); found {
			o, err = from, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if !o.HasPCK {
		r := o.Request
		return []Need{{[]Item{{
			Kind: PCK, EncryptedPPID: hex.EncodeToString(r.EncryptedPPID), CPUSVN: hex.EncodeToString(r.CPUSVN[:]),
			PCESVN: hex.EncodeToString(r.PCESVN[:]), PCEID: hex.EncodeToString(r.PCEID[:]), QEID: hex.EncodeToString(r.QEID[:]),
		}}, "the key behind the quoting enclave, which this quote does not bring; the rest depends on it"}}, nil
	}
	return IntelNeeds(teeName(q.TEE), hex.EncodeToString(o.FMSPC[:]), o.CA, h.Evaluation), nil
}

func teeName(t dcap.TEE) string {
	if t == dcap.TDX {
		return "tdx"
	}
	return "sgx"
}

// pckIn finds a PCK certificate in collateral.
func pckIn(have attest.Collateral) (*dcap.Origin, bool) {
	for _, e := range have {
		var o *dcap.Origin
		err := errors.New("no certificate")
		switch e.MediaType {
		case attest.MediaTypeCertificate:
			o, err = dcap.PCKOriginDER(e.Value)
		case attest.MediaTypePEMChain:
			o, err = dcap.PCKOrigin(e.Value)
		}
		if err == nil {
			return o, true
		}
	}
	return nil, false
}

// IntelNeeds are what quotes of a platform model need; an empty ca stands for
// both intermediates.
func IntelNeeds(tee, fmspc, ca, evaluation string) []Need {
	needs := []Need{
		{[]Item{{Kind: TCBInfo, TEE: tee, FMSPC: fmspc, Evaluation: evaluation}}, "Intel's word on the firmware levels of this platform model"},
		{[]Item{{Kind: QEIdentity, TEE: tee, Evaluation: evaluation}}, "what Intel's quoting enclave looks like, and its level"},
	}
	for _, name := range []string{"processor", "platform"} {
		if ca == "" || ca == name {
			needs = append(needs, Need{[]Item{{Kind: PCKList, CA: name}}, "says whether the platform's PCK certificate has been revoked"})
		}
	}
	return append(needs, Need{[]Item{{Kind: RootList}}, "says whether an intermediate or the signer of TCB data has been revoked"})
}

// LineNeeds are what reports of a product line need besides the VCEK or VLEK.
func LineNeeds(line string) []Need {
	return append(lineNeeds(line, "vcek"), lineNeeds(line, "vlek")[0])
}

// LineNamed finds a product line by the name that people know: Bergamo and
// Siena have keys of Genoa.
func LineNamed(name string) (string, error) {
	lines, err := snp.Lines()
	if err != nil {
		return "", err
	}
	return lineNamed(lines, name)
}

func lineNamed(lines []snpreport.Line, name string) (string, error) {
	known := ""
	for _, l := range lines {
		if strings.EqualFold(name, l.Name) {
			return l.Name, nil
		}
		known += l.Name + ", "
	}
	if strings.EqualFold(name, "Bergamo") || strings.EqualFold(name, "Siena") {
		return "Genoa", nil
	}
	return "", fmt.Errorf("product line %q is not known, expected one of %sBergamo or Siena", shown(name), known)
}

// KDSPath is where AMD's key service has an item, below the service's address:
// path and query (document 57230).
func (it Item) KDSPath() (string, error) {
	if err := it.Valid(); err != nil {
		return "", err
	}
	switch it.Kind {
	case AMDChain:
		return "/" + it.Key + "/v1/" + it.Line + "/cert_chain", nil
	case AMDList:
		return "/vcek/v1/" + it.Line + "/crl", nil
	case VCEK:
		names, values, err := it.Level()
		if err != nil {
			return "", err
		}
		q := make([]string, len(names))
		for i, n := range names {
			q[i] = fmt.Sprintf("%s=%02d", n, values[i])
		}
		return "/vcek/v1/" + it.Line + "/" + it.Chip + "?" + strings.Join(q, "&"), nil
	}
	return "", fmt.Errorf("AMD's key service has no items of kind %s", it.Kind)
}

// Level gives the components of a VCEK's TCB in the order and under the names
// of AMD's key service, for [VCEK].
func (it Item) Level() (names []string, values []uint8, err error) {
	lines, err := snp.Lines()
	if err != nil {
		return nil, nil, err
	}
	for _, l := range lines {
		if l.Name != it.Line {
			continue
		}
		t, err := levelOf(it.TCB, l.HasFMC)
		if err != nil {
			return nil, nil, err
		}
		if l.HasFMC {
			names, values = append(names, "fmcSPL"), append(values, t.FMC)
		}
		return append(names, "blSPL", "teeSPL", "snpSPL", "ucodeSPL"), append(values, t.Bootloader, t.TEE, t.SNP, t.Microcode), nil
	}
	return nil, nil, fmt.Errorf("product line %q is not known", shown(it.Line))
}
