// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// maxOwnerFile bounds an owner file; the sealing key and the channel key make
// about 1 KiB of it.
const maxOwnerFile = 64 << 10

// ownerFile gives access to one deployment: who has it can read its logs and
// stop it. It is written with mode 0600, never leaves this machine, and the
// agent never sees the keys in it. The names of token and certificate files
// are kept for convenience, their content is not.
type ownerFile struct {
	Version    int    `json:"version"`
	Host       string `json:"host"`
	Keep       string `json:"keep"`
	Capability string `json:"capability"`
	Platform   string `json:"platform"`
	Bundle     string `json:"bundle"`
	Module     string `json:"module"`
	Created    string `json:"created"`
	// ChannelKey is the Keep's key that was attested (base64 of its
	// SubjectPublicKeyInfo); a later session must meet the same.
	ChannelKey []byte `json:"channel_key"`
	// SignSeed and SealKey are the private owner key.
	SignSeed []byte `json:"sign_seed"`
	SealKey  []byte `json:"seal_key"`
	// Measurement is the launch measurement that the deployment accepted.
	Measurement []byte `json:"measurement,omitempty"`
	// Added says that it was accepted on the word of reference values that
	// were added (enarx reference add): it counts as long as they do.
	Added bool `json:"added_reference,omitempty"`

	TokenFile  string `json:"token_file,omitempty"`
	TLSCA      string `json:"tls_ca,omitempty"`
	ClientCert string `json:"client_cert,omitempty"`
	ClientKey  string `json:"client_key,omitempty"`

	path string
}

// key is the private owner key.
func (o *ownerFile) key() (*session.OwnerKey, error) {
	k, err := session.ParseOwnerKey(o.SignSeed, o.SealKey)
	if err != nil {
		return nil, failf(exitUsage, "", "owner file %s: %w", o.path, err)
	}
	return k, nil
}

// digest is the bundle's digest.
func (o *ownerFile) digest() (workload.Digest, error) {
	d, err := workload.ParseDigest(o.Bundle)
	if err != nil {
		return d, failf(exitUsage, "", "owner file %s: %w", o.path, err)
	}
	return d, nil
}

// agent is a client for the deployment's agent.
func (o *ownerFile) agent() (*client.Client, error) {
	c, err := client.New(o.Host, client.Options{TokenFile: o.TokenFile, CAFile: o.TLSCA, ClientCert: o.ClientCert, ClientKey: o.ClientKey})
	if err != nil {
		return nil, fail(exitAgent, "", err)
	}
	return c, nil
}

// name is how a person refers to the deployment.
func (o *ownerFile) name() string { return strings.TrimSuffix(filepath.Base(o.path), ownerSuffix) }

const ownerSuffix = ".owner"

// ownersDir is where owner files are kept unless --owner says otherwise.
func ownersDir() (string, error) {
	dir, err := configDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "deployments")
	return dir, privateDir(dir)
}

// ownerPath chooses a name for the owner file of a fresh deployment: the
// module's, with as much of the Keep's ID as makes it unique.
func ownerPath(module, keep string) (string, error) {
	dir, err := ownersDir()
	if err != nil {
		return "", err
	}
	base := filepath.Base(module)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	base = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, base)
	// The Keep's ID comes from the agent: only its hash goes into a file name.
	h := sha256.Sum256([]byte(keep))
	id := base64.RawURLEncoding.EncodeToString(h[:])[:8]
	id = strings.NewReplacer("-", "0", "_", "1").Replace(id)
	return filepath.Join(dir, base[:min(len(base), 40)]+"-"+id+ownerSuffix), nil
}

// write stores the file; it never replaces another deployment's.
func (o *ownerFile) write() error {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return failf(exitInternal, "", "encoding the owner file: %w", err)
	}
	return writeFile(o.path, "the owner file", append(b, '\n'), 0o600, true)
}

// newOwnerFile is the file of a Keep that has passed appraisal.
func newOwnerFile(f *deployFlags, key *session.OwnerKey, ap *client.Appraisal) (*ownerFile, error) {
	seed, seal, err := key.Bytes()
	if err != nil {
		return nil, failf(exitInternal, "", "storing the owner key: %w", err)
	}
	o := &ownerFile{
		Version: 1, Host: f.host, Created: time.Now().UTC().Format(time.RFC3339),
		ChannelKey: ap.ChannelKey, SignSeed: seed, SealKey: seal,
		TokenFile: absolute(f.tokenFile), TLSCA: absolute(f.tlsCA), ClientCert: absolute(f.clientCert), ClientKey: absolute(f.clientKey),
	}
	if ap.Claims != nil {
		o.Measurement = ap.Claims.Measurement
		if o.Added, err = onlyAdded(&f.trustFlags, ap.Claims); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// absolute makes a path usable from another directory.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// readOwner reads an owner file by its path or by the name that ps shows.
func readOwner(arg string) (*ownerFile, error) {
	path := arg
	if !strings.ContainsRune(arg, filepath.Separator) {
		if _, err := os.Lstat(arg); err != nil {
			dir, err := ownersDir()
			if err != nil {
				return nil, err
			}
			path = filepath.Join(dir, strings.TrimSuffix(arg, ownerSuffix)+ownerSuffix)
			if _, err := os.Lstat(path); err != nil {
				return nil, failf(exitUsage, "enarx ps lists your deployments", "there is no deployment %q and no such owner file", arg)
			}
		}
	}
	return parseOwnerFile(path)
}

func parseOwnerFile(path string) (*ownerFile, error) {
	st, err := os.Stat(path)
	if err == nil && st.Mode().Perm()&0o077 != 0 {
		return nil, failf(exitUsage, "chmod 600 "+path+"; and consider the deployment's key known to others",
			"owner file %s can be read by others (mode %o)", path, st.Mode().Perm())
	}
	b, err := readLimited(path, "the owner file", maxOwnerFile, exitUsage)
	if err != nil {
		return nil, err
	}
	o := &ownerFile{path: path}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(o); err != nil || o.Version != 1 || dec.More() {
		return nil, failf(exitUsage, "name a file that enarx deploy wrote", "%s is not an owner file of this version", path)
	}
	if !slices.Contains(platformNames, o.Platform) {
		return nil, failf(exitUsage, "name a file that enarx deploy wrote", "owner file %s names platform %q, which does not exist", path, o.Platform)
	}
	// Without it any Keep of the host's choosing would do.
	if len(o.ChannelKey) == 0 {
		return nil, failf(exitUsage, "name a file that enarx deploy wrote", "owner file %s has no channel key, so nothing tells the Keep of this deployment from another", path)
	}
	return o, nil
}
