// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package item says what pieces of collateral there are, which of them a piece
// of evidence needs, and whether bytes from elsewhere are one of them.
//
//	needs, err := item.Needed(evidence, nil, item.Hint{})  // what, and why
//	info, err := item.Check(it, parts)                     // is it that, of the vendor's?
//
// It is the pure half of package collateral: no network, no file, no clock.
// [Check] follows every signature to the vendor's root, which is part of this
// program, and reads dates without judging them. A verifier does not rest on
// it and checks everything again; what rests on it is that nothing unproven,
// and nothing of another platform, takes the place of something good.
package item

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Kind is a kind of item.
type Kind string

// The kinds.
const (
	// VCEK is the certificate of one chip at one firmware level (Line, Chip,
	// TCB). It never changes.
	VCEK Kind = "amd-vcek"
	// VLEK is the certificate of a cloud provider. AMD's key service has
	// none; the host hands it out with the report.
	VLEK Kind = "amd-vlek"
	// AMDChain is intermediate and root of a product line, for one kind of
	// key (Line, Key).
	AMDChain Kind = "amd-chain"
	// AMDList is the revocation list of a product line's root (Line).
	AMDList Kind = "amd-crl"
	// TCBInfo lists the firmware levels of a platform model with its issuer
	// chain (TEE, FMSPC, Evaluation).
	TCBInfo Kind = "intel-tcb-info"
	// QEIdentity is what Intel's quoting enclave must look like, with its
	// issuer chain (TEE, Evaluation).
	QEIdentity Kind = "intel-qe-identity"
	// PCKList is the revocation list of an intermediate with its issuer
	// chain (CA).
	PCKList Kind = "intel-pck-crl"
	// RootList is the revocation list of the Intel SGX Root CA.
	RootList Kind = "intel-root-crl"
	// PCK is the certificate of one platform at one firmware level with its
	// chain (PCK fields), for quotes that do not bring it.
	PCK Kind = "intel-pck"
	// NitroList is the revocation list of an issuer of Nitro documents (URL,
	// Issuers), with the issuer's chain.
	NitroList Kind = "aws-nitro-crl"
)

// Item names one piece of collateral. Items are comparable; fields that a kind
// does not have are empty. All hexadecimal is lower case.
type Item struct {
	Kind Kind `json:"kind"`
	// Line is the product line: "Milan", "Genoa", "Turin".
	Line string `json:"line,omitempty"`
	// Key is the kind of key that a chain is for: "vcek" or "vlek".
	Key string `json:"key,omitempty"`
	// Chip is the hardware id: 64 bytes, or 8 on Turin.
	Chip string `json:"chip,omitempty"`
	// TCB is the level as its 8 bytes stand in the report.
	TCB string `json:"tcb,omitempty"`
	// TEE is "sgx" or "tdx".
	TEE string `json:"tee,omitempty"`
	// FMSPC is the platform model, 6 bytes.
	FMSPC string `json:"fmspc,omitempty"`
	// Evaluation chooses among the data sets that Intel serves at once:
	// empty is the standard one, "early" the newest, a number that one.
	Evaluation string `json:"evaluation,omitempty"`
	// CA is the intermediate: "processor" or "platform".
	CA string `json:"ca,omitempty"`
	// EncryptedPPID (384 bytes), CPUSVN (16), PCESVN (2, little-endian),
	// PCEID (2, little-endian) and QEID (16) ask for a PCK certificate.
	EncryptedPPID string `json:"encrypted_ppid,omitempty"`
	CPUSVN        string `json:"cpusvn,omitempty"`
	PCESVN        string `json:"pcesvn,omitempty"`
	PCEID         string `json:"pceid,omitempty"`
	QEID          string `json:"qeid,omitempty"`
	// URL is where a list is, by https and at one of the addresses of AWS
	// that are known here.
	URL string `json:"url,omitempty"`
	// Issuers are the certificates below the root that lead to the list's
	// issuer, joined with ","; empty is the root itself.
	Issuers string `json:"issuers,omitempty"`
}

var (
	evaluation = regexp.MustCompile(`^(early|[1-9][0-9]{0,5})?$`)
	lineName   = regexp.MustCompile(`^[A-Z][a-z]{1,30}$`)
)

// Valid says whether the fields are those of the kind, each in its one form. A
// valid item has a [Item.Name] that is a file name and goes into a URL without
// escapes.
func (it Item) Valid() error {
	fields, known := it.fields()
	if !known {
		return fmt.Errorf("kind %q is not known", shown(string(it.Kind)))
	}
	own := map[string]bool{}
	for _, f := range fields {
		if !f.ok {
			return fmt.Errorf("%s: %q is no %s", it.Kind, shown(f.value), f.what)
		}
		own[f.name] = true
	}
	for name, value := range it.all() {
		if value != "" && !own[name] {
			return fmt.Errorf("%s with a field %s, which belongs to another kind", it.Kind, name)
		}
	}
	return nil
}

// all are the fields besides the kind.
func (it Item) all() map[string]string {
	return map[string]string{
		"line": it.Line, "key": it.Key, "chip": it.Chip, "tcb": it.TCB, "tee": it.TEE, "fmspc": it.FMSPC, "evaluation": it.Evaluation,
		"ca": it.CA, "encrypted_ppid": it.EncryptedPPID, "cpusvn": it.CPUSVN, "pcesvn": it.PCESVN, "pceid": it.PCEID, "qeid": it.QEID,
		"url": it.URL, "issuers": it.Issuers,
	}
}

// field is one field that a kind has.
type field struct {
	name, what, value string
	ok                bool
}

// fields are those that the kind has.
func (it Item) fields() (list []field, known bool) {
	line := field{"line", "product line", it.Line, lineName.MatchString(it.Line)}
	level := field{"tcb", "TCB version of 8 bytes", it.TCB, digits(it.TCB, 8)}
	tee := field{"tee", "TEE (sgx, tdx)", it.TEE, it.TEE == "sgx" || it.TEE == "tdx"}
	set := field{"evaluation", "evaluation (early, or a number)", it.Evaluation, evaluation.MatchString(it.Evaluation)}
	switch it.Kind {
	case VCEK:
		return []field{line, {"chip", "hardware id of 64 or 8 bytes", it.Chip, digits(it.Chip, 64) || digits(it.Chip, 8)}, level}, true
	case VLEK:
		line.ok = line.ok || it.Line == ""
		return []field{line, level}, true
	case AMDChain:
		return []field{line, {"key", "kind of key (vcek, vlek)", it.Key, it.Key == "vcek" || it.Key == "vlek"}}, true
	case AMDList:
		return []field{line}, true
	case TCBInfo:
		return []field{{"fmspc", "FMSPC of 6 bytes", it.FMSPC, digits(it.FMSPC, 6)}, tee, set}, true
	case QEIdentity:
		return []field{tee, set}, true
	case PCKList:
		return []field{{"ca", "intermediate (processor, platform)", it.CA, it.CA == "processor" || it.CA == "platform"}}, true
	case RootList:
		return nil, true
	case NitroList:
		_, known := nitroList(it.URL)
		_, hexed := issuers(it.Issuers)
		return []field{{"url", "address of a list of AWS's", it.URL, known}, {"issuers", "chain of at most two certificates", it.Issuers, hexed}}, true
	case PCK:
		return []field{
			{"encrypted_ppid", "encrypted PPID of 384 bytes", it.EncryptedPPID, digits(it.EncryptedPPID, 384)},
			{"cpusvn", "CPUSVN of 16 bytes", it.CPUSVN, digits(it.CPUSVN, 16)},
			{"pcesvn", "PCESVN of 2 bytes", it.PCESVN, digits(it.PCESVN, 2)},
			{"pceid", "PCEID of 2 bytes", it.PCEID, digits(it.PCEID, 2)},
			{"qeid", "QEID of 16 bytes", it.QEID, digits(it.QEID, 16)},
		}, true
	}
	return nil, false
}

// digits says whether s is n bytes in lower-case hexadecimal.
func digits(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == n && s == strings.ToLower(s)
}

// Name is the name of a valid item: lower case, a file name, one for each item.
func (it Item) Name() string {
	line := strings.ToLower(it.Line)
	set := ""
	switch {
	case it.Evaluation == "early":
		set = "-early"
	case it.Evaluation != "":
		set = "-evaluation-" + it.Evaluation
	}
	switch it.Kind {
	case VCEK:
		return "amd-" + line + "-vcek-" + it.Chip + "-" + it.TCB
	case VLEK:
		return "amd-" + line + "-vlek-" + it.TCB
	case AMDChain:
		return "amd-" + line + "-" + it.Key + "-chain"
	case AMDList:
		return "amd-" + line + "-crl"
	case TCBInfo:
		return "intel-" + it.TEE + "-tcbinfo-" + it.FMSPC + set
	case QEIdentity:
		return "intel-" + it.TEE + "-qeidentity" + set
	case PCKList:
		return "intel-pck-" + it.CA + "-crl"
	case RootList:
		return "intel-root-crl"
	case PCK:
		// The PPID is encrypted anew each time and says nothing to people.
		return "intel-pck-" + it.QEID + "-" + it.PCEID + "-" + it.CPUSVN + "-" + it.PCESVN
	case NitroList:
		id, _ := nitroList(it.URL)
		sum := sha256.Sum256([]byte(it.Issuers))
		return fmt.Sprintf("aws-nitro-crl-%s-%x", id, sum[:8])
	}
	return ""
}

// String words the item for people.
func (it Item) String() string {
	set := ""
	switch {
	case it.Evaluation == "early":
		set = ", early update"
	case it.Evaluation != "":
		set = ", evaluation " + it.Evaluation
	}
	switch it.Kind {
	case VCEK:
		return "VCEK of " + it.Line + " chip " + abbreviated(it.Chip) + " at TCB " + it.TCB
	case VLEK:
		return "VLEK at TCB " + it.TCB
	case AMDChain:
		return strings.ToUpper(it.Key) + " chain of " + it.Line
	case AMDList:
		return "CRL of " + it.Line
	case TCBInfo:
		return strings.ToUpper(it.TEE) + " TCB info of FMSPC " + it.FMSPC + set
	case QEIdentity:
		return strings.ToUpper(it.TEE) + " QE identity" + set
	case PCKList:
		return "CRL of the PCK " + it.CA + " CA"
	case RootList:
		return "CRL of the Intel SGX Root CA"
	case PCK:
		return "PCK certificate of quoting enclave " + abbreviated(it.QEID)
	case NitroList:
		if m := nitroAddress.FindStringSubmatch(it.URL); m != nil && m[2] != "" {
			return "CRL of AWS Nitro in " + m[2]
		}
		return "CRL of the AWS Nitro root"
	}
	return "item of kind " + strconv.Quote(shown(string(it.Kind)))
}

// Immutable says that an item, once there, never changes: it names a key by
// all that the key is derived from.
func (it Item) Immutable() bool { return it.Kind == VCEK || it.Kind == PCK }

func abbreviated(s string) string {
	if len(s) > 16 {
		return s[:16] + "…"
	}
	return s
}

// maxShown bounds text from outside in an error.
const maxShown = 96

func shown(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}
