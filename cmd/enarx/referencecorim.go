// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ed25519"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/measure"
	"github.com/enarx/enarx-go/measure/corim"
)

func newReferenceExportCmd(a *app) *cobra.Command {
	var keys []string
	var signWith, signer, output string
	c := &cobra.Command{
		Use: "export REFERENCE --key FILE [flags]", Short: "Write signed reference values as a CoRIM",
		Long: `Check a file of signed reference values and write what it says as a CoRIM, which
verifiers of other makers read. With --sign-with it is signed (COSE_Sign1, Ed25519);
without, whoever gets it needs another reason to believe it.`,
		Example: "  enarx reference export keep.ref --key release.pub --sign-with release.key -o keep.corim",
		Args:    oneArg("REFERENCE"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.exportReference(args[0], keys, signWith, signer, output)
		},
	}
	fs := c.Flags()
	fs.StringArrayVar(&keys, "key", nil, "`FILE` of accepted public keys (repeatable)")
	fs.StringVar(&signWith, "sign-with", "", "sign the CoRIM with the private key in `FILE`")
	fs.StringVar(&signer, "signer", "enarx", "`NAME` of the signer, for people")
	fs.StringVarP(&output, "output", "o", "", "write to `FILE` instead of stdout")
	return c
}

func (a *app) exportReference(path string, keyFiles []string, signWith, signer, output string) error {
	keys, err := publicKeys(keyFiles, "--key")
	if err != nil {
		return err
	}
	signed, err := readLimited(path, "the reference values", maxReferenceFile, exitUsage)
	if err != nil {
		return err
	}
	entries, _, err := measure.Read(signed, keys)
	if err != nil {
		return fail(exitAttest, "do not use these reference values", fmt.Errorf("%s: %w", path, err))
	}
	var b []byte
	if signWith == "" {
		b, err = corim.Encode(entries)
	} else {
		var key ed25519.PrivateKey
		if key, err = signingKey(signWith); err != nil {
			return err
		}
		b, err = corim.Sign(entries, signer, key)
	}
	if err != nil {
		return fail(exitUsage, "", fmt.Errorf("%s: %w", path, err))
	}
	if output != "" {
		return writeFile(output, "the CoRIM", b, 0o644, false)
	}
	return a.emit("%s", b)
}

func newReferenceImportCmd(a *app) *cobra.Command {
	var keys []string
	var signWith, output string
	c := &cobra.Command{
		Use: "import CORIM --key FILE --sign-with FILE [flags]", Short: "Sign the reference values of a CoRIM",
		Long: `Check the signature of a CoRIM that enarx reference export wrote and sign what it
says as reference values, with a key of yours. A CoRIM that says more than those do is
refused, and so is one that nobody signed.`,
		Example: "  enarx reference import keep.corim --key release.pub --sign-with mine.key -o keep.ref",
		Args:    oneArg("CORIM"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.importReference(args[0], keys, signWith, output)
		},
	}
	fs := c.Flags()
	fs.StringArrayVar(&keys, "key", nil, "`FILE` of public keys, one of which must have signed the CoRIM (repeatable)")
	fs.StringVar(&signWith, "sign-with", "", "`FILE` of the private key to sign the reference values with")
	fs.StringVarP(&output, "output", "o", "", "write to `FILE` instead of stdout")
	return c
}

func (a *app) importReference(path string, keyFiles []string, signWith, output string) error {
	keys, err := publicKeys(keyFiles, "--key")
	if err != nil {
		return err
	}
	if signWith == "" {
		return failf(exitUsage, "make one with enarx reference key NAME and name it with --sign-with NAME.key", "the signing key is missing")
	}
	key, err := signingKey(signWith)
	if err != nil {
		return err
	}
	b, err := readLimited(path, "the CoRIM", maxReferenceFile, exitUsage)
	if err != nil {
		return err
	}
	entries, _, err := corim.Open(b, keys)
	if err != nil {
		return fail(exitAttest, "do not use this CoRIM", fmt.Errorf("%s: %w", path, err))
	}
	signed, err := measure.Sign(entries, key)
	if err != nil {
		return fail(exitUsage, "", err)
	}
	if output != "" {
		return writeFile(output, "the reference values", signed, 0o644, false)
	}
	return a.emit("%s\n", signed)
}
