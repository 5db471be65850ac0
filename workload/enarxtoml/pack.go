// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/enarx/enarx-go/workload"
)

// Overrides is what the command line adds to Enarx.toml. All of it goes into
// the bundle and so into the digest.
type Overrides struct {
	// Args are appended to the arguments of Enarx.toml; they replace none.
	Args []string
	// Env sets variables, and replaces those of the same name.
	Env map[string]string
	// MemoryBytes and TimeoutMS replace the limits; 0 leaves them.
	MemoryBytes uint64
	TimeoutMS   uint64
	// Secrets declares secrets. One without Env and Path is left as
	// Enarx.toml declares it; if Enarx.toml does not, the workload sees it
	// as the environment variable of the same name.
	Secrets []workload.Secret
}

// Apply adds o to c and checks the result.
func (o Overrides) Apply(c *workload.Config) error {
	r := c.Clone()
	r.Args = append(r.Args, o.Args...)
	if len(o.Env) > 0 && r.Env == nil {
		r.Env = map[string]string{}
	}
	for k, v := range o.Env {
		r.Env[k] = v
	}
	if o.MemoryBytes != 0 {
		r.Limits.MemoryBytes = o.MemoryBytes
	}
	if o.TimeoutMS != 0 {
		r.Limits.TimeoutMS = o.TimeoutMS
	}
	for _, s := range o.Secrets {
		r.Secrets = declare(r.Secrets, s)
	}
	if err := r.Validate(); err != nil {
		return err
	}
	*c = r
	return nil
}

func declare(all []workload.Secret, s workload.Secret) []workload.Secret {
	open := s.Env == "" && s.Path == ""
	for i := range all {
		if all[i].Name == s.Name {
			if !open {
				all[i] = s
			}
			return all
		}
	}
	if open {
		s.Env = s.Name
	}
	return append(all, s)
}

// PackFiles completes a workload: the configuration of doc and the command
// line, the module, the files and directories that doc names, and its CA
// roots. dir is the directory of Enarx.toml; nothing outside it is read. A nil
// doc is [Default].
//
// A directory is packed with everything in it. Symbolic links, devices,
// sockets and pipes are refused, wherever they point: a link that is followed
// here and not there would give the same tree two identities.
func PackFiles(doc *Doc, dir string, module []byte, o Overrides) (workload.Package, error) {
	if doc == nil {
		doc = Default()
	}
	if err := workload.CheckModule(module); err != nil {
		return workload.Package{}, err
	}
	p := workload.Package{Config: doc.Config(), Module: module}
	if err := o.Apply(&p.Config); err != nil {
		return workload.Package{}, err
	}
	if len(doc.mounts) == 0 && doc.ca == "" {
		return p, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return workload.Package{}, fmt.Errorf("packing files: %w", err)
	}
	defer root.Close()
	w := &walker{root: root, from: map[string]string{}}
	for _, m := range doc.mounts {
		if err := w.mount(m); err != nil {
			return workload.Package{}, fmt.Errorf("%s: mount %s: %w", doc.name, m.Guest, err)
		}
	}
	p.Files = w.files
	if doc.ca != "" {
		if p.CARoots, err = readRoots(root, doc.ca); err != nil {
			return workload.Package{}, fmt.Errorf("%s: ca: %w", doc.name, err)
		}
	}
	return p, nil
}

// readRoots reads a PEM file and parses every certificate in it, which the
// packer leaves out: better here, with the name of the file, than in the Keep.
func readRoots(root *os.Root, name string) ([]byte, error) {
	info, err := plain(root, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	text, err := readFile(root, name, info, workload.MaxCARootsSize)
	if err != nil {
		return nil, err
	}
	n := 0
	for rest := text; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: PEM block %d is %q, expected CERTIFICATE", name, n+1, clip(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %s", name, n+1, err)
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("%s has no certificate; expected PEM blocks that begin with -----BEGIN CERTIFICATE-----", name)
	}
	return text, nil
}
