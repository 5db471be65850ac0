// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest"
	vendoritem "github.com/enarx/enarx-go/attest/collateral/item"
)

// Where the vendors publish what a verifier needs (AMD VCEK interface, document
// 57230; Intel PCS API version 4). A person without a network fetches the file
// elsewhere and carries it over.
const (
	amdKDS   = "https://kdsintf.amd.com"
	intelPCS = "https://api.trustedservices.intel.com"
)

// advise makes what is to be done as plain as what is known of the machine
// allows: which file, from where.
func advise(rows attest.Verdict, platform string, s selection) {
	for i := range rows {
		r := &rows[i]
		name := strings.TrimPrefix(r.Check, platform+".")
		switch {
		case r.Outcome == attest.Skipped && r.Todo == "":
			r.Todo = skippedTodo[name]
		case r.Outcome == attest.Fail:
			if todo := s.fetch(platform, name, r); todo != "" {
				r.Todo = todo
			}
		}
	}
}

// skippedTodo says how to demand what was not.
var skippedTodo = map[string]string{
	"measurement": "to check what runs there, give reference values: --reference FILE --reference-key FILE",
	"host-data":   "to check what it was started for, give the expected bytes: --host-data HEX",
	"report-data": "to check whom it was made for, give the expected bytes: --report-data HEX",
}

// fetch says which file is missing or too old, where it is and what to do with
// it; empty if that is not what r is about.
func (s *selection) fetch(platform, check string, r *attest.Row) string {
	if r.Reason == attest.ReasonChain && check == "chain" && s.key != "" {
		return s.key
	}
	var files []string
	switch r.Reason {
	case attest.ReasonListMissing, attest.ReasonListExpired:
		files = s.lists(platform)
	case attest.ReasonCollateralMissing, attest.ReasonCollateralExpired, attest.ReasonCollateralForeign:
		files = s.documents(platform, check)
	}
	if len(files) == 0 {
		return ""
	}
	todo := "get " + strings.Join(files, " and ") + " and add it to the collateral (--collateral DIR; enarx collateral fetch does both)"
	if r.Reason == attest.ReasonListExpired || r.Reason == attest.ReasonCollateralExpired {
		todo = "check the time asked about; if it is right, " + todo
	}
	return todo
}

// missingKey says where the key that signed a report of snp is to be had.
func missingKey(report []byte) string {
	needs, err := vendoritem.Needed(attest.Evidence{MediaType: attest.MediaTypeSNP, Value: report}, nil, vendoritem.Hint{})
	if err != nil {
		return "the certificate of the key that signed the report is missing: " + err.Error()
	}
	for _, n := range needs {
		switch n.Any[0].Kind {
		case vendoritem.VLEK:
			return "the VLEK is missing: take it from the host, out of the certificate table of the extended guest request, and add it to the " +
				"collateral (--collateral DIR); AMD's key service gives out none"
		case vendoritem.VCEK:
			var urls []string
			for _, it := range n.Any {
				if path, err := it.KDSPath(); err == nil {
					urls = append(urls, amdKDS+path)
				}
			}
			return "the VCEK is missing: get " + strings.Join(urls, " or ") + " and add it to the collateral (--collateral DIR; enarx collateral fetch does both)"
		}
	}
	return ""
}

func (s *selection) lists(platform string) []string {
	switch {
	case platform == attest.PlatformSNP && s.line != "":
		return []string{amdKDS + "/vcek/v1/" + s.line + "/crl"}
	case (platform == attest.PlatformTDX || platform == attest.PlatformSGX) && s.pckCA != "":
		return []string{intelRootList, fmt.Sprintf("%s/sgx/certification/v4/pckcrl?ca=%s&encoding=der", intelPCS, s.pckCA)}
	}
	return nil
}

const intelRootList = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

func (s *selection) documents(platform, check string) []string {
	if platform != attest.PlatformTDX && platform != attest.PlatformSGX {
		return nil
	}
	base := intelPCS + "/" + platform + "/certification/v4/"
	info, identity := base+"tcb?fmspc="+s.fmspc, base+"qe/identity"
	switch {
	case check == "qe-identity":
		return []string{identity}
	case s.fmspc == "":
		return nil
	case check == "tcb-info":
		return []string{info}
	}
	return []string{info, identity}
}
