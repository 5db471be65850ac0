// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/eventlog"
)

const specPCS = "Intel PCS API, version 4"

// maxLevels bounds the levels of a document that are described; Intel has
// published up to 19.
const maxLevels = 256

// DescribeCollateral decodes an entry of collateral without judging it.
func DescribeCollateral(e attest.Evidence) (*Description, error) {
	if n := len(e.Value); n > eventlog.MaxLog { // the largest of all kinds
		return nil, tooLarge("the collateral", fmt.Sprintf("%d bytes", n), eventlog.MaxLog)
	}
	var d *Description
	var err error
	switch e.MediaType {
	case attest.MediaTypeCertificate:
		d, err = describeCertificate(e.Value)
	case attest.MediaTypeCRL:
		d, err = describeList(e.Value)
	case attest.MediaTypeIntelTCBInfo, attest.MediaTypeIntelQEIdentity, attest.MediaTypeIntelTCBEvaluation:
		d, err = describeDocument(e)
	case attest.MediaTypeEventLog, attest.MediaTypeDstackLog:
		d, err = describeLog(e)
	default:
		return &Description{Kind: Kind(e), Title: Kind(e), Fields: []Field{text("size", fmt.Sprintf("%d bytes", len(e.Value)), "Its content is not described here.", "")}}, nil
	}
	if err != nil {
		return nil, err
	}
	uniqueNames(d.Fields)
	return d, nil
}

// describeDocument describes a document that Intel signs.
func describeDocument(e attest.Evidence) (*Description, error) {
	name := Kind(e)
	o, err := parseObject(e.Value)
	if err != nil {
		return nil, malformed(name, "%w", err)
	}
	for body, mediaType := range signedDocuments {
		if mediaType != e.MediaType {
			continue
		}
		inner, err := o.object(body)
		if err != nil {
			return nil, malformed(name, "%w", err)
		}
		d := &Description{Kind: name, Title: name}
		for _, key := range []string{"id", "fmspc"} { // TDX of 90c06f000000; QE; TDX
			if raw, ok := inner[key]; ok {
				d.Title += " " + strings.ToLower(shown(plain(raw)))
			}
		}
		d.header(inner)
		if err := d.levels(inner); err != nil {
			return nil, malformed(name, "%w", err)
		}
		sig, _ := o.str("signature")
		d.Fields = append(d.Fields, text("signature", shown(sig), "ECDSA P-256 signature over the exact bytes of the body; not checked here.", specPCS))
		return d, nil
	}
	return nil, malformed(name, "no such document")
}

// headerNames are the members of such documents, in order, with what they mean.
var headerNames = [][2]string{
	{"id", "Which TEE or enclave it is of."},
	{"version", "Version of the form."},
	{"issueDate", "When Intel made it: before this it does not count."},
	{"nextUpdate", "After this a newer one has to be fetched."},
	{"fmspc", "Model of the platforms that it is of: FMSPC of their PCK certificates."},
	{"pceId", "Provisioning certification enclave of these platforms."},
	{"tcbType", "How levels are composed; 0 is the only way."},
	{"tcbEvaluationDataNumber", "Counts Intel's re-evaluations: a higher number knows of later vulnerabilities."},
	{"mrsigner", "Who must have signed the enclave."},
	{"isvprodid", "Product number that the enclave must have."},
	{"miscselect", "MISCSELECT that the enclave must have."},
	{"miscselectMask", "Which bits of it count."},
	{"attributes", "Attributes that the enclave must have."},
	{"attributesMask", "Which bits of them count."},
}

func (d *Description) header(o object) {
	for _, h := range headerNames {
		if raw, ok := o[h[0]]; ok {
			value := plain(raw)
			if h[0] == "fmspc" {
				value = strings.ToLower(value) // Intel writes it in either case
			}
			d.Fields = append(d.Fields, text(h[0], value, h[1], specPCS))
		}
	}
}

// plain gives a member as text: strings without their quotes.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// levels describes the levels of the document and of the TDX modules in it.
func (d *Description) levels(o object) error {
	if raw, ok := o["tcbLevels"]; ok {
		fs, err := levelFields(raw)
		if err != nil {
			return err
		}
		d.Fields = append(d.Fields, Field{
			Name: "tcbLevels", Value: fmt.Sprintf("%d levels", len(fs)), Spec: specPCS, Fields: fs,
			Meaning: "From the newest down; the first that a platform reaches in every component is its level.",
		})
	}
	if raw, ok := o["tdxModule"]; ok {
		d.Fields = append(d.Fields, text("tdxModule", moduleText(raw), "Who must have signed the TDX module.", specPCS))
	}
	if raw, ok := o["tdxModuleIdentities"]; ok {
		var modules []json.RawMessage
		if err := json.Unmarshal(raw, &modules); err != nil || len(modules) > maxLevels {
			return fmt.Errorf("tdxModuleIdentities is no array of at most %d", maxLevels)
		}
		f := Field{Name: "tdxModuleIdentities", Value: fmt.Sprintf("%d modules", len(modules)), Spec: specPCS,
			Meaning: "Levels of each major version of the TDX module."}
		for _, m := range modules {
			mo, err := parseObject(m)
			if err != nil {
				return err
			}
			fs, err := levelFields(mo["tcbLevels"])
			if err != nil {
				return err
			}
			f.Fields = append(f.Fields, Field{Name: shown(plain(mo["id"])), Value: fmt.Sprintf("%d levels", len(fs)), Fields: fs, Spec: specPCS})
		}
		d.Fields = append(d.Fields, f)
	}
	if raw, ok := o["tcbEvalNumbers"]; ok {
		return d.evaluations(raw)
	}
	return nil
}

func moduleText(raw json.RawMessage) string {
	o, err := parseObject(raw)
	if err != nil {
		return "unreadable"
	}
	signer := plain(o["mrsigner"])
	if strings.Trim(signer, "0") == "" {
		return "MRSIGNER zero, which is Intel"
	}
	return "MRSIGNER " + signer
}

// level is one entry of tcbLevels. Components are numbers, objects with an
// svn, or members with names of their own (version 2).
type level struct {
	TCB        map[string]json.RawMessage `json:"tcb"`
	Date       string                     `json:"tcbDate"`
	Status     string                     `json:"tcbStatus"`
	Advisories []string                   `json:"advisoryIDs"`
}

func levelFields(raw json.RawMessage) ([]Field, error) {
	var levels []level
	if err := json.Unmarshal(raw, &levels); err != nil || len(levels) > maxLevels {
		return nil, fmt.Errorf("tcbLevels is no array of at most %d levels", maxLevels)
	}
	var fs []Field
	for _, l := range levels {
		f := Field{Name: l.name(), Value: shown(l.Status), Meaning: statusMeaning(l.Status), Spec: specPCS}
		f.Fields = append(f.Fields, text("since", l.Date, "", specPCS))
		if len(l.Advisories) > 0 {
			f.Fields = append(f.Fields, Field{Name: "advisories", Value: strings.Join(l.Advisories[:min(len(l.Advisories), maxLevels)], ", "),
				Meaning: "Intel's security advisories that apply to it.", Spec: specPCS})
		}
		fs = append(fs, f)
	}
	return fs, nil
}

// name says which platforms a level is of: its components, zeroes at the end
// left out.
func (l *level) name() string {
	var parts []string
	for _, key := range []string{"isvsvn", "sgxtcbcomponents", "tdxtcbcomponents"} {
		if raw, ok := l.TCB[key]; ok {
			label := map[string]string{"isvsvn": "SVN", "sgxtcbcomponents": "SGX", "tdxtcbcomponents": "TDX"}[key]
			parts = append(parts, label+" "+componentText(raw))
		}
	}
	if _, ok := l.TCB["sgxtcbcomp01svn"]; ok {
		var numbers []string
		for i := range 16 {
			numbers = append(numbers, plain(l.TCB[fmt.Sprintf("sgxtcbcomp%02dsvn", i+1)]))
		}
		parts = append(parts, "SGX "+trimZeroes(numbers))
	}
	if raw, ok := l.TCB["pcesvn"]; ok {
		parts = append(parts, "PCE "+shown(plain(raw)))
	}
	if len(parts) == 0 {
		return "level without components"
	}
	return strings.Join(parts, ", ")
}

func componentText(raw json.RawMessage) string {
	var list []struct {
		SVN json.Number `json:"svn"`
	}
	if err := json.Unmarshal(raw, &list); err != nil || len(list) > 64 {
		return shown(plain(raw))
	}
	numbers := make([]string, len(list))
	for i, c := range list {
		numbers[i] = shown(c.SVN.String())
	}
	return trimZeroes(numbers)
}

func trimZeroes(numbers []string) string {
	for len(numbers) > 1 && (numbers[len(numbers)-1] == "0" || numbers[len(numbers)-1] == "") {
		numbers = numbers[:len(numbers)-1]
	}
	return strings.Join(numbers, " ")
}

// statusMeaning explains a status in our words.
func statusMeaning(s string) string {
	return map[string]string{
		"UpToDate":                          "Nothing known against it.",
		"SWHardeningNeeded":                 "Sound if the enclave's code guards against known attacks by itself.",
		"ConfigurationNeeded":               "Sound if the machine is set up in a certain way, which the evidence does not show.",
		"ConfigurationAndSWHardeningNeeded": "Sound only with both a certain set-up and guarded code.",
		"OutOfDate":                         "Known vulnerabilities; an update is out.",
		"OutOfDateConfigurationNeeded":      "Known vulnerabilities, and a certain set-up is needed even after the update.",
		"Revoked":                           "Intel vouches for it no longer.",
	}[s]
}

// evaluations describes TCB evaluation data numbers.
func (d *Description) evaluations(raw json.RawMessage) error {
	var list []struct {
		Number   json.Number `json:"tcbEvaluationDataNumber"`
		Date     string      `json:"tcbDate"`
		Recovery string      `json:"tcbRecoveryEventDate"`
	}
	if err := json.Unmarshal(raw, &list); err != nil || len(list) > maxLevels {
		return fmt.Errorf("tcbEvalNumbers is no array of at most %d", maxLevels)
	}
	f := Field{Name: "tcbEvalNumbers", Value: fmt.Sprintf("%d evaluations", len(list)), Meaning: "Evaluations that Intel serves, from the newest down.", Spec: specPCS}
	for _, n := range list {
		f.Fields = append(f.Fields, text(shown(n.Number.String()), fmt.Sprintf("TCB date %s, recovery event %s", shown(n.Date), shown(n.Recovery)), "", specPCS))
	}
	d.Fields = append(d.Fields, f)
	return nil
}
