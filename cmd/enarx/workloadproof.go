// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/workload"
)

// workloadProof is what evidence that a workload has asked for is bound to.
type workloadProof struct {
	bundle, owner, data string
}

func (p *workloadProof) add(fs *pflag.FlagSet) {
	fs.StringVar(&p.bundle, "workload", "", "demand evidence that the workload with this bundle `DIGEST` has asked for itself")
	fs.StringVar(&p.owner, "owner-key-hash", "", "with --workload: the owner it runs for, 32 bytes in `HEX`; enarx receipt verify shows it")
	fs.StringVar(&p.data, "workload-data", "", "with --workload: what it has asked for evidence over, 64 bytes in `HEX`")
}

// reportData is what such evidence carries. All three parts are needed and
// taken as they are: a part that was filled up would be another one.
func (p *workloadProof) reportData() (*[64]byte, error) {
	for _, f := range []struct{ flag, value string }{
		{"--workload", p.bundle}, {"--owner-key-hash", p.owner}, {"--workload-data", p.data},
	} {
		if f.value == "" {
			return nil, failf(exitUsage, "such evidence is bound to bundle, owner and bytes: name all three", "%s is missing", f.flag)
		}
	}
	digest, err := workload.ParseDigest(p.bundle)
	if err != nil {
		return nil, fail(exitUsage, "enarx workload inspect shows a bundle's digest", fmt.Errorf("--workload: %w", err))
	}
	owner, err := exactly[[32]byte]("--owner-key-hash", p.owner)
	if err != nil {
		return nil, err
	}
	data, err := exactly[[attest.WorkloadDataSize]byte]("--workload-data", p.data)
	if err != nil {
		return nil, err
	}
	rd := attest.WorkloadReportData(digest, owner, data)
	return &rd, nil
}

// exactly reads as many hexadecimal digits as a field has.
func exactly[T [32]byte | [64]byte](flag, text string) (T, error) {
	var to T
	b, err := hex.DecodeString(text)
	if err == nil && len(b) != len(to) {
		err = fmt.Errorf("%d bytes, expected %d", len(b), len(to))
	}
	if err != nil {
		return to, failf(exitUsage, "", "%s: %w", flag, err)
	}
	for i := range b {
		to[i] = b[i]
	}
	return to, nil
}
