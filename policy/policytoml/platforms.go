// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package policytoml

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/sgx"
	"github.com/enarx/enarx-go/attest/snp"
)

// snpTable is [snp].
type snpTable struct {
	VMPL        uint32    `toml:"vmpl"`
	Require     []string  `toml:"require"`
	MinABI      string    `toml:"min_abi"`
	Mitigations uint64    `toml:"mitigations"`
	Providers   *[]string `toml:"providers"`
	IDKeys      *[]string `toml:"id_keys"`
	AuthorKeys  *[]string `toml:"author_keys"`
	MinGuestSVN uint32    `toml:"min_guest_svn"`
	List        *bool     `toml:"require_revocation_list"`
}

// tdxTable is [tdx].
type tdxTable struct {
	MRTD            *[]string `toml:"mrtd"`
	RTMR0           *[]string `toml:"rtmr0"`
	RTMR1           *[]string `toml:"rtmr1"`
	RTMR2           *[]string `toml:"rtmr2"`
	RTMR3           *[]string `toml:"rtmr3"`
	MRSEAM          *[]string `toml:"mrseam"`
	MROwner         *[]string `toml:"mrowner"`
	MROwnerConfig   *[]string `toml:"mrownerconfig"`
	ServiceTDs      *[]string `toml:"service_tds"`
	XFAM            *uint64   `toml:"xfam"`
	AcceptPendingVE bool      `toml:"accept_pending_ve"`
}

func (t *tdxTable) read(p *appraisal.TDXPolicy) (key string, err error) {
	p.XFAM, p.AcceptPendingVE = t.XFAM, t.AcceptPendingVE
	for _, x := range []struct {
		key  string
		from *[]string
		to   *[][48]byte
	}{
		{"mrtd", t.MRTD, &p.MRTD}, {"rtmr0", t.RTMR0, &p.RTMR[0]}, {"rtmr1", t.RTMR1, &p.RTMR[1]}, {"rtmr2", t.RTMR2, &p.RTMR[2]},
		{"rtmr3", t.RTMR3, &p.RTMR[3]}, {"mrseam", t.MRSEAM, &p.MRSEAM}, {"mrowner", t.MROwner, &p.MROwner},
		{"mrownerconfig", t.MROwnerConfig, &p.MROwnerConfig}, {"service_tds", t.ServiceTDs, &p.ServiceTDs},
	} {
		if *x.to, err = digests(x.from); err != nil {
			return x.key, err
		}
	}
	return "", nil
}

// sgxTable is [sgx].
type sgxTable struct {
	MRSigner  string  `toml:"mrsigner"`
	ProductID *uint16 `toml:"product_id"`
	MinSVN    uint16  `toml:"min_svn"`
}

// nitroTable is [nitro].
type nitroTable struct {
	PCRs map[string]string `toml:"pcrs"`
	List bool              `toml:"require_revocation_list"`
}

// vtpmTable is [vtpm].
type vtpmTable struct {
	Roots            *[]string         `toml:"roots"`
	PCRs             map[string]string `toml:"pcrs"`
	SecureBoot       bool              `toml:"require_secure_boot"`
	List             bool              `toml:"require_revocation_list"`
	AcceptActivation bool              `toml:"accept_unproven_activation"`
}

// features are the names of the features that can be required of snp, as in
// the rows of the verdict.
var features = map[string]snp.Feature{
	"smt": snp.NoSMT, "single-socket": snp.SingleSocket, "cxl": snp.NoCXL, "memory-xts": snp.MemoryXTS, "rapl": snp.NoRAPL,
	"ciphertext-hiding": snp.CiphertextHiding, "page-swap": snp.NoPageSwap, "alias-check": snp.AliasCheck,
}

func featureNames() string {
	var names []string
	for n := range features {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (f *file) platformTables(p *appraisal.Policy) error {
	if f.SNP != nil {
		if key, err := f.SNP.read(&p.SNP); err != nil {
			return &fault{table: "snp", key: key, err: err}
		}
	}
	if f.TDX != nil {
		if key, err := f.TDX.read(&p.TDX); err != nil {
			return &fault{table: "tdx", key: key, err: err}
		}
	}
	if f.SGX != nil {
		if key, err := f.SGX.read(&p.SGX); err != nil {
			return &fault{table: "sgx", key: key, err: err}
		}
	}
	if f.Nitro != nil {
		if key, err := f.Nitro.read(&p.Nitro); err != nil {
			return &fault{table: "nitro", key: key, err: err}
		}
	}
	if f.VTPM != nil {
		if key, err := f.VTPM.read(&p.VTPM); err != nil {
			return &fault{table: "vtpm", key: key, err: err}
		}
	}
	return nil
}

// maxPCR is the highest register that a Nitro document can hold.
const maxPCR = 31

func (t *nitroTable) read(p *appraisal.NitroPolicy) (key string, err error) {
	p.RequireCRL = t.List
	if p.PCRs, err = registers(t.PCRs, maxPCR, "SHA-384 value of 96 hexadecimal digits", 48); err != nil {
		return "pcrs", err
	}
	return "", nil
}

func (t *vtpmTable) read(p *appraisal.VTPMPolicy) (key string, err error) {
	p.SecureBoot, p.RequireCRL, p.AcceptUnprovenActivation = t.SecureBoot, t.List, t.AcceptActivation
	if p.PCRs, err = registers(t.PCRs, attest.TPMPCRs-1, "SHA-256 or SHA-384 value of 64 or 96 hexadecimal digits", 32, 48); err != nil {
		return "pcrs", err
	}
	if t.Roots == nil {
		return "", nil
	}
	if len(*t.Roots) > maxList {
		return "roots", fmt.Errorf("%d roots, expected at most %d", len(*t.Roots), maxList)
	}
	p.OnlyRoots = [][32]byte{}
	for _, text := range *t.Roots {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != 32 {
			return "roots", fmt.Errorf("%.40q is no SHA-256 digest of a certificate, 64 hexadecimal digits; its file is named with --tpm-root", text)
		}
		p.OnlyRoots = append(p.OnlyRoots, [32]byte(b))
	}
	return "", nil
}

// registers reads values of registers by number; nil for none.
func registers(texts map[string]string, most uint64, words string, sizes ...int) (map[uint][]byte, error) {
	var out map[uint][]byte
	for name, text := range texts {
		n, err := strconv.ParseUint(name, 10, 8)
		if err != nil || n > most || strconv.FormatUint(n, 10) != name {
			return nil, fmt.Errorf("%q is no register from 0 to %d", name, most)
		}
		b, err := hex.DecodeString(text)
		if err != nil || !slices.Contains(sizes, len(b)) {
			return nil, fmt.Errorf("register %s: %.40q is no %s", name, text, words)
		}
		if out == nil {
			out = map[uint][]byte{}
		}
		out[uint(n)] = b
	}
	return out, nil
}

func (t *snpTable) read(p *appraisal.SNPPolicy) (key string, err error) {
	if t.VMPL > 3 {
		return "vmpl", fmt.Errorf("%d, expected 0 to 3", t.VMPL)
	}
	p.VMPL, p.Mitigations, p.MinGuestSVN = t.VMPL, t.Mitigations, t.MinGuestSVN
	for _, name := range t.Require {
		f, ok := features[name]
		if !ok {
			return "require", fmt.Errorf("%q, expected some of %s", name, featureNames())
		}
		p.Require |= f
	}
	if t.MinABI != "" {
		if p.MinABI, err = abi(t.MinABI); err != nil {
			return "min_abi", err
		}
	}
	if t.Providers != nil {
		if p.Providers = append([]string{}, *t.Providers...); slices.Contains(p.Providers, "") {
			return "providers", errors.New("an empty name")
		}
	}
	if p.IDKeyDigests, err = digests(t.IDKeys); err != nil {
		return "id_keys", err
	}
	if p.AuthorKeyDigests, err = digests(t.AuthorKeys); err != nil {
		return "author_keys", err
	}
	if t.MinGuestSVN != 0 && t.IDKeys == nil {
		return "min_guest_svn", errors.New("needs id_keys: without a demanded key anybody can state a version")
	}
	p.AcceptMissingCRL = t.List != nil && !*t.List
	return "", nil
}

func abi(text string) (snp.ABI, error) {
	major, minor, ok := strings.Cut(text, ".")
	a, err1 := strconv.ParseUint(major, 10, 8)
	b, err2 := strconv.ParseUint(minor, 10, 8)
	if !ok || err1 != nil || err2 != nil {
		return snp.ABI{}, fmt.Errorf("%q, expected two numbers as \"1.55\"", text)
	}
	return snp.ABI{Major: uint8(a), Minor: uint8(b)}, nil
}

// digests reads SHA-384 digests. A list that is there but empty accepts none.
func digests(texts *[]string) ([][48]byte, error) {
	if texts == nil {
		return nil, nil
	}
	if len(*texts) > maxList {
		return nil, fmt.Errorf("%d keys, expected at most %d", len(*texts), maxList)
	}
	list := [][48]byte{}
	for _, text := range *texts {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != 48 {
			return nil, fmt.Errorf("%.40q is no SHA-384 digest of 96 hexadecimal digits", text)
		}
		list = append(list, [48]byte(b))
	}
	return list, nil
}

func (t *sgxTable) read(p *appraisal.SGXPolicy) (key string, err error) {
	if t.MRSigner == "" {
		return "mrsigner", errors.New("missing: product and version mean nothing without their signer")
	}
	b, err := hex.DecodeString(t.MRSigner)
	if err != nil || len(b) != 32 {
		return "mrsigner", fmt.Errorf("%.40q is no digest of 64 hexadecimal digits", t.MRSigner)
	}
	if t.ProductID == nil {
		return "product_id", errors.New("missing: a signer can sign several products")
	}
	p.Signer = &sgx.Signer{MRSigner: [32]byte(b), ProductID: *t.ProductID, MinSVN: t.MinSVN}
	return "", nil
}
