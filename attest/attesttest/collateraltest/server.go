// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package collateraltest plays the services of AMD and Intel with answers that
// the real ones have given: the certificates, lists and documents that came
// with the recorded evidence, under the paths and with the headers of the real
// interfaces. It knows how to misbehave:
//
//	s, err := collateraltest.New(root)
//	s.Break("/vcek/v1/Milan/crl", collateraltest.Swapped("/vcek/v1/Genoa/crl"))
//	client := collateral.NewClient(collateral.ClientOptions{Transport: s.Pipe(t)})
//
// [Server.Pipe] carries requests in memory, so that time in a synctest bubble
// stands still while nothing happens; as an http.Handler it also serves a real
// port.
//
// What was recorded has ended since: [At] is a time at which everything that
// the server has by default is valid.
package collateraltest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// At is when all of the default answers are valid.
var At = time.Date(2025, 6, 25, 12, 0, 0, 0, time.UTC)

// Answer is a recorded answer.
type Answer struct {
	Header http.Header
	Body   []byte
}

// Fault answers a request in the place of the good answer, which is nil where
// the service has none.
type Fault func(w http.ResponseWriter, r *http.Request, good *Answer)

// Server is the services. It is safe for concurrent use.
type Server struct {
	root string

	mu      sync.Mutex
	answers map[string]*Answer // by path and sorted query
	faults  map[string]Fault   // by path
	count   map[string]int     // by path
}

const (
	amdDir   = "attest/internal/snpreport/testdata/"
	intelDir = "attest/internal/dcap/testdata/"
)

// New makes a server from the vectors in the source tree of the module at root.
func New(root string) (*Server, error) {
	s := &Server{root: root, answers: map[string]*Answer{}, faults: map[string]Fault{}, count: map[string]int{}}
	if err := s.addAMD(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"sgx/collateral/00a067110000-2025-06", "tdx/collateral/b0c06f000000-2025-06"} {
		if err := s.Use(dir); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ModuleRoot finds the root of the module at or above the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod here or above: the vectors are read from the source tree")
		}
		dir = up
	}
}

// key is a path with its query in one order.
func key(u *url.URL) string { return u.Path + "?" + u.Query().Encode() }

// Put makes body the answer to path with query.
func (s *Server) Put(path string, query url.Values, body []byte, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if header == nil {
		header = http.Header{}
	}
	s.answers[path+"?"+query.Encode()] = &Answer{header, body}
}

// Remove takes an answer away.
func (s *Server) Remove(path string, query url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.answers, path+"?"+query.Encode())
}

// File reads a vector.
func (s *Server) File(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.root, filepath.FromSlash(name)))
}

func (s *Server) addAMD() error {
	const chains = "attest/snp/roots/"
	for name, path := range map[string]string{
		chains + "milan-vcek-chain.pem": "/vcek/v1/Milan/cert_chain", chains + "milan-vlek-chain.pem": "/vlek/v1/Milan/cert_chain",
		chains + "genoa-vcek-chain.pem": "/vcek/v1/Genoa/cert_chain", chains + "genoa-vlek-chain.pem": "/vlek/v1/Genoa/cert_chain",
		chains + "turin-vcek-chain.pem": "/vcek/v1/Turin/cert_chain", chains + "turin-vlek-chain.pem": "/vlek/v1/Turin/cert_chain",
		amdDir + "milan-2025-05-06.crl.der": "/vcek/v1/Milan/crl", amdDir + "genoa-2024-10-23.crl.der": "/vcek/v1/Genoa/crl",
	} {
		b, err := s.File(name)
		if err != nil {
			return err
		}
		s.Put(path, nil, b, nil)
	}
	reports, err := filepath.Glob(filepath.Join(s.root, amdDir, "*.report.bin"))
	if err != nil || len(reports) == 0 {
		return fmt.Errorf("%d reports among the vectors: %w", len(reports), err)
	}
	for _, name := range reports {
		leaf, err := os.ReadFile(strings.TrimSuffix(name, ".report.bin") + ".vcek.der")
		if err != nil {
			continue // published without
		}
		report, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		path, q := VCEKPath(filepath.Base(name), report)
		s.Put(path, q, leaf, nil)
	}
	return nil
}

// VCEKPath is where AMD's service has the VCEK of a report; file tells the line.
func VCEKPath(file string, report []byte) (string, url.Values) {
	chip, tcb := report[0x1a0:0x1e0], report[0x180:0x188]
	line, level := "Milan", map[string]byte{"blSPL": tcb[0], "teeSPL": tcb[1], "snpSPL": tcb[6], "ucodeSPL": tcb[7]}
	switch {
	case strings.HasPrefix(file, "turin"):
		line, chip = "Turin", chip[:8]
		level = map[string]byte{"fmcSPL": tcb[0], "blSPL": tcb[1], "teeSPL": tcb[2], "snpSPL": tcb[3], "ucodeSPL": tcb[7]}
	case strings.HasPrefix(file, "genoa"), strings.HasPrefix(file, "siena"):
		line = "Genoa"
	}
	q := url.Values{}
	for k, v := range level {
		q.Set(k, fmt.Sprintf("%02d", v))
	}
	return "/vcek/v1/" + line + "/" + hex.EncodeToString(chip), q
}

// chainHeader is a chain as Intel puts it into a header.
func chainHeader(name string, chain []byte) http.Header {
	return http.Header{name: {strings.ReplaceAll(url.QueryEscape(string(chain)), "+", "%20")}}
}

// Use makes a recorded set of Intel's the present one: "tdx/collateral/" or
// "sgx/collateral/" with FMSPC and date. Lists and the QE identity of its TEE
// are replaced, TCB infos of other models stay.
func (s *Server) Use(dir string) error {
	tee, rest, _ := strings.Cut(dir, "/collateral/")
	fmspc, _, _ := strings.Cut(rest, "-")
	files := map[string][]byte{}
	for _, name := range []string{"tcbinfo.json", "qeidentity.json", "tcb-signing-chain.pem", "root.crl.der",
		"pck-platform.crl.der", "pck-platform-ca-chain.pem", "pck-processor.crl.der", "pck-processor-ca-chain.pem"} {
		if b, err := s.File(intelDir + dir + "/" + name); err == nil {
			files[name] = b
		}
	}
	if files["tcbinfo.json"] == nil {
		return fmt.Errorf("no set %s among the vectors", dir)
	}
	chain := files["tcb-signing-chain.pem"]
	s.Put("/"+tee+"/certification/v4/tcb", url.Values{"fmspc": {fmspc}, "update": {"standard"}}, files["tcbinfo.json"], chainHeader("TCB-Info-Issuer-Chain", chain))
	if b := files["qeidentity.json"]; b != nil {
		s.Put("/"+tee+"/certification/v4/qe/identity", url.Values{"update": {"standard"}}, b, chainHeader("SGX-Enclave-Identity-Issuer-Chain", chain))
	}
	for _, ca := range []string{"platform", "processor"} {
		if b := files["pck-"+ca+".crl.der"]; b != nil {
			s.Put("/sgx/certification/v4/pckcrl", url.Values{"ca": {ca}, "encoding": {"der"}}, b, chainHeader("SGX-PCK-CRL-Issuer-Chain", files["pck-"+ca+"-ca-chain.pem"]))
		}
	}
	if b := files["root.crl.der"]; b != nil {
		s.Put("/IntelSGXRootCA.der", nil, b, nil)
		// The caching service answers in hexadecimal.
		s.Put("/sgx/certification/v4/rootcacrl", nil, []byte(hex.EncodeToString(b)), nil)
	}
	return nil
}

// Break makes requests for path go to f; a nil f mends it.
func (s *Server) Break(path string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil {
		delete(s.faults, path)
		return
	}
	s.faults[path] = f
}

// Requests is how often path was asked for, and with an empty path how often
// anything was.
func (s *Server) Requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path != "" {
		return s.count[path]
	}
	n := 0
	for _, c := range s.count {
		n += c
	}
	return n
}

// answer looks one up.
func (s *Server) answer(k string) *Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.answers[k]; a != nil {
		return &Answer{a.Header.Clone(), bytes.Clone(a.Body)}
	}
	return nil
}

// ServeHTTP answers as the services do.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.count[r.URL.Path]++
	fault := s.faults[r.URL.Path]
	s.mu.Unlock()
	good := s.answer(key(r.URL))
	switch {
	case fault != nil:
		fault(w, r, good)
	case good == nil:
		http.Error(w, "not found", http.StatusNotFound)
	default:
		good.write(w)
	}
}

func (a *Answer) write(w http.ResponseWriter) {
	for k, v := range a.Header {
		w.Header()[http.CanonicalHeaderKey(k)] = v
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(a.Body)))
	w.Write(a.Body)
}
