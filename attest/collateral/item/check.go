// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package item

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
	"github.com/enarx/enarx-go/attest/internal/snpreport"
	"github.com/enarx/enarx-go/attest/snp"
)

// Rule is the rule by which an answer was not taken, for programs.
type Rule string

// The rules, in the order in which they are asked.
const (
	RuleForm    Rule = "form"          // not the parts that such an item has, or not readable as them
	RuleProof   Rule = "signature"     // leads to no root of the vendor's
	RuleSubject Rule = "subject"       // genuine, but of another line, model, chip or TEE
	RuleOlder   Rule = "older"         // genuine, but older than what is there
	RuleEnded   Rule = "ended"         // genuine, but no longer valid
	RuleEarly   Rule = "not-yet-valid" // genuine, but not valid yet
)

// RefusedError says why bytes did not become an item.
type RefusedError struct {
	Item Item
	Rule Rule
	Err  error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: rule %s: %v", e.Item, e.Rule, e.Err)
}

// Unwrap gives the detail.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(it Item, r Rule, format string, args ...any) error {
	return &RefusedError{Item: it, Rule: r, Err: fmt.Errorf(format, args...)}
}

// Info is what a checked item says of itself.
type Info struct {
	// From and Until are when it is valid, both included: by its own dates,
	// and no longer than the certificates that came with it.
	From, Until time.Time
	// Number is the number of a list, or nil.
	Number *big.Int
	// Evaluation is the number of the data set of TCB info and QE identity;
	// 0 for others.
	Evaluation uint32
}

// Older says whether a is older than b, and by what.
func (a *Info) Older(b *Info) (bool, string) {
	switch {
	case a.Evaluation != 0 && b.Evaluation != 0 && a.Evaluation != b.Evaluation:
		return a.Evaluation < b.Evaluation, fmt.Sprintf("evaluation %d, evaluation %d is there", a.Evaluation, b.Evaluation)
	case a.From.Before(b.From):
		return true, fmt.Sprintf("issued %s, one issued %s is there", stamp(a.From), stamp(b.From))
	case a.Number != nil && b.Number != nil && a.Number.Cmp(b.Number) < 0:
		return true, fmt.Sprintf("number %s, number %s is there", number(a.Number), number(b.Number))
	}
	return false, ""
}

func number(n *big.Int) string {
	if n.BitLen() > 160 { // RFC 5280, section 5.2.3: at most 20 octets
		return "of more than 160 bits"
	}
	return n.String()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// MaxPart bounds one part of an item, MaxParts their count: the longest list
// that any verifier accepts as one entry of collateral (most accept 64 KiB, and
// so does [Check] of their items), and a list with the two certificates above it.
const (
	MaxPart  = 512 << 10
	MaxParts = 3
)

// Check says whether parts are the item it: in form, under the vendor's root,
// about the right subject. An error is a [RefusedError].
func Check(it Item, parts attest.Collateral) (*Info, error) {
	if err := it.Valid(); err != nil {
		return nil, refuse(it, RuleForm, "%w", err)
	}
	types := partTypes[it.Kind]
	least := len(types)
	if it.Kind == NitroList {
		least = 1 // the root needs no chain
	}
	if len(parts) < least || len(parts) > MaxParts {
		return nil, refuse(it, RuleForm, "%d parts, expected %d", len(parts), len(types))
	}
	for i, p := range parts {
		want := types[min(i, len(types)-1)]
		if p.MediaType != want {
			return nil, refuse(it, RuleForm, "part %d is of type %s, expected %s", i, shown(p.MediaType), want)
		}
		if len(p.Value) == 0 || len(p.Value) > MaxPart {
			return nil, refuse(it, RuleForm, "part %d has %d bytes, expected 1 to %d", i, len(p.Value), MaxPart)
		}
	}
	switch it.Kind {
	case VCEK, VLEK, AMDChain, AMDList:
		return checkAMD(it, parts)
	case NitroList:
		return checkNitro(it, parts)
	}
	return checkIntel(it, parts)
}

// partTypes are the media types of an item's parts, in order; further parts
// are of the last type.
var partTypes = map[Kind][]string{
	VCEK:       {attest.MediaTypeCertificate},
	VLEK:       {attest.MediaTypeCertificate},
	AMDChain:   {attest.MediaTypeCertificate, attest.MediaTypeCertificate},
	AMDList:    {attest.MediaTypeCRL},
	TCBInfo:    {attest.MediaTypeIntelTCBInfo, attest.MediaTypePEMChain},
	QEIdentity: {attest.MediaTypeIntelQEIdentity, attest.MediaTypePEMChain},
	PCKList:    {attest.MediaTypeCRL, attest.MediaTypePEMChain},
	RootList:   {attest.MediaTypeCRL},
	PCK:        {attest.MediaTypePEMChain},
	NitroList:  {attest.MediaTypeCRL, attest.MediaTypeCertificate},
}

// FileNames are names for the parts of a valid item with so many parts, which
// tell people and programs what is in them.
func (it Item) FileNames(parts int) []string {
	name := it.Name()
	switch it.Kind {
	case AMDChain:
		line := "amd-" + strings.ToLower(it.Line)
		ca := map[string]string{"vcek": "ask", "vlek": "asvk"}[it.Key]
		return []string{line + "-" + ca + ".cert.der", line + "-" + it.Key + "-ark.cert.der"}[:min(parts, 2)]
	case TCBInfo, QEIdentity:
		return []string{name + ".json", name + "-chain.pem"}[:min(parts, 2)]
	case PCKList:
		return []string{name + ".der", name + "-chain.pem"}[:min(parts, 2)]
	case AMDList, RootList:
		return []string{name + ".der"}
	case PCK:
		return []string{name + "-chain.pem"}
	}
	names := []string{name + ".cert.der"}
	if it.Kind == NitroList {
		names[0] = name + ".der"
	}
	for i := 1; i < parts; i++ {
		names = append(names, name+"-issuer-"+strconv.Itoa(i)+".cert.der")
	}
	return names
}

func checkAMD(it Item, parts attest.Collateral) (*Info, error) {
	lines, err := snp.Lines()
	if err != nil {
		return nil, refuse(it, RuleProof, "%w", err)
	}
	var ders [][]byte
	for _, p := range parts {
		ders = append(ders, p.Value)
	}
	var e *snpreport.Endorsement
	switch it.Kind {
	case AMDList:
		e, err = snpreport.CheckList(lines, ders[0])
	case AMDChain:
		e, err = snpreport.CheckAuthorities(lines, keyKind(it.Key), ders)
	case VCEK:
		e, err = snpreport.CheckLeaf(lines, snpreport.KeyVCEK, ders[0], ders[1:])
	default:
		e, err = snpreport.CheckLeaf(lines, snpreport.KeyVLEK, ders[0], ders[1:])
	}
	if err != nil {
		return nil, refuse(it, RuleProof, "%w", err)
	}
	if it.Line != "" && e.Line != it.Line {
		return nil, refuse(it, RuleSubject, "it is of %s", e.Line)
	}
	if it.Kind == VCEK || it.Kind == VLEK {
		if err := sameKey(it, e); err != nil {
			return nil, refuse(it, RuleSubject, "%w", err)
		}
	}
	return &Info{From: e.From, Until: e.Until, Number: e.Number}, nil
}

func keyKind(key string) uint8 {
	if key == "vlek" {
		return snpreport.KeyVLEK
	}
	return snpreport.KeyVCEK
}

// sameKey says whether a leaf is of the chip and level that were asked for.
func sameKey(it Item, e *snpreport.Endorsement) error {
	level, err := levelOf(it.TCB, e.TCB.HasFMC())
	if err != nil {
		return err
	}
	if level != e.TCB {
		return fmt.Errorf("it is of TCB %v, expected %v", e.TCB, level)
	}
	if it.Kind == VLEK {
		return nil
	}
	chip, err := hex.DecodeString(it.Chip)
	if want := [64]byte(padded(chip)); err != nil || e.ChipID != want {
		return fmt.Errorf("it is of chip %x…", e.ChipID[:8])
	}
	return nil
}

func padded(b []byte) []byte {
	out := make([]byte, 64)
	copy(out, b)
	return out
}

// levelOf reads a TCB version of 16 hexadecimal digits.
func levelOf(text string, hasFMC bool) (snpreport.TCB, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 8 {
		return snpreport.TCB{}, fmt.Errorf("TCB version %q is not 8 bytes", shown(text))
	}
	return snpreport.TCBBytes(b).Decode(hasFMC)
}

func checkIntel(it Item, parts attest.Collateral) (*Info, error) {
	root, tee := dcap.IntelRoot(), dcap.SGX
	if it.TEE == "tdx" {
		tee = dcap.TDX
	}
	var e *dcap.Endorsement
	var err error
	switch it.Kind {
	case TCBInfo:
		// The other TEE's document is genuine too: say so, and not that it
		// has a wrong form.
		if e, err = dcap.CheckTCBInfo(root, tee, parts[0].Value, parts[1].Value); err != nil {
			if _, other := dcap.CheckTCBInfo(root, otherTEE(tee), parts[0].Value, parts[1].Value); other == nil {
				return nil, refuse(it, RuleSubject, "it is of %v", otherTEE(tee))
			}
		}
	case QEIdentity:
		if e, err = dcap.CheckIdentity(root, tee, parts[0].Value, parts[1].Value); err != nil {
			if _, other := dcap.CheckIdentity(root, otherTEE(tee), parts[0].Value, parts[1].Value); other == nil {
				return nil, refuse(it, RuleSubject, "it is of %v", otherTEE(tee))
			}
		}
	case PCKList:
		e, err = dcap.CheckPCKList(root, parts[0].Value, parts[1].Value)
	case RootList:
		e, err = dcap.CheckRootList(root, parts[0].Value)
	default:
		e, err = dcap.CheckPCK(root, parts[0].Value)
	}
	if err != nil {
		return nil, refuse(it, RuleProof, "%w", err)
	}
	if err := sameModel(it, e); err != nil {
		return nil, refuse(it, RuleSubject, "%w", err)
	}
	return &Info{From: e.From, Until: e.Until, Number: e.Number, Evaluation: e.Evaluation}, nil
}

func otherTEE(t dcap.TEE) dcap.TEE {
	if t == dcap.TDX {
		return dcap.SGX
	}
	return dcap.TDX
}

// sameModel says whether e is of the model, intermediate and data set that
// were asked for.
func sameModel(it Item, e *dcap.Endorsement) error {
	switch {
	case it.Kind == TCBInfo && hex.EncodeToString(e.FMSPC[:]) != it.FMSPC:
		return fmt.Errorf("it is of FMSPC %x", e.FMSPC)
	case it.Kind == PCKList && e.CA != it.CA:
		return fmt.Errorf("it is of the PCK %s CA", e.CA)
	case it.Kind == PCK && hex.EncodeToString(e.PCEID[:]) != it.PCEID:
		return fmt.Errorf("it is of PCEID %x", e.PCEID)
	}
	if n, err := strconv.ParseUint(it.Evaluation, 10, 32); err == nil && uint32(n) != e.Evaluation {
		return fmt.Errorf("it is of evaluation %d", e.Evaluation)
	}
	return nil
}
