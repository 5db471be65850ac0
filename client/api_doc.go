// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package client is the tenant's side of Enarx: it asks an agent for a Keep,
// attests it, and only then deploys to it. The CLI, web and tests all use it.
//
// [Client] is the plain HTTP part, one method per operation of the agent's
// API (see agent/openapi.yaml). It proves nothing: what it returns is what an
// untrusted host said. Its [Client.Attach] yields the raw tunnel in which the
// attested session runs; everything that matters to the tenant happens inside
// that.
//
//	c, err := client.New("https://host.example:7420", client.Options{TokenFile: "token"})
//	k, err := c.Create(ctx, api.CreateRequest{Platform: "snp"}, "")
//	conn, err := c.Attach(ctx, k.ID, k.Capability)
//
// Errors of the API are *[ProblemError], with a code to decide by and an Advice
// method for people; a host that does not answer is an *[UnreachableError].
package client
