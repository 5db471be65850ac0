// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package enarx is Enarx in Go: run an unmodified WebAssembly program on a
// machine you do not trust, inside a Trusted Execution Environment, and know
// that you did.
//
// The package itself is empty. This comment is the ten-minute tour of the
// repository, in reading order; docs/glossary.md has the words, and
// docs/threat-model.md says what each part is trusted with.
//
// # What happens
//
// A tenant has a program. enarx packs it, its configuration and its files into
// a bundle, whose digest is the workload's identity. Somewhere, a host that the
// tenant does not trust runs an agent. The client asks the agent for a Keep and
// gets an empty one: a TEE with the Keep runtime inside and nothing of the
// tenant's. Through the agent, which relays bytes it cannot read, the client
// makes a TLS connection that ends inside the Keep, and asks over it for
// evidence. The evidence is made for that very connection. The client appraises
// it; only if every check passes, and policy agrees, does it claim the Keep and
// send the bundle. The Keep runs it once, reports to its owner, wipes and ends.
//
// # The workload
//
//   - workload: the bundle, canonical bytes with a digest. Pack and Parse are
//     each other's inverse. workload/SPEC.md has the format.
//   - workload/enarxtoml: Enarx.toml, for people. It exists on the client's side
//     only; a Keep parses nothing but the bundle.
//
// # Proof
//
//   - attest: what evidence is made for (binding, leaf, tree, report data) and
//     what a verifier must do with it. Start with its SPEC.md.
//   - attest/sim: the verifier of simulated hardware. It walks the path that a
//     real one does, over evidence of all their shapes, and its rows never read
//     "verified". attest/sim/simhw is the other side, the toy that signs.
//   - attest/snp, attest/tdx, attest/sgx: the verifiers of AMD's and Intel's
//     hardware, under the vendors' roots; attest/nitro: that of AWS Nitro
//     documents, on the word of AWS's hypervisor. Each is a library of its own.
//   - attest/evidence: finds evidence in whatever it comes wrapped in, and
//     describes it field by field. attest/cmw is the standard wrapper.
//   - attest/appraisal: the whole way from a file to a verdict; enarx verify, the
//     verifier in a browser and replays are this package. attest/ear words its
//     result for other programs.
//   - attest/evidencebundle, attest/replay: evidence kept with everything that
//     its appraisal took, and appraised again. SPEC.md has the file.
//   - cmd/enarx-verify, web/verify: the verifier as WebAssembly, and a page of it.
//   - attest/collateral: fetches and keeps what vendors publish. It alone talks
//     to them, and nothing that it keeps is trusted for lying there.
//   - attest/attesttest: throw-away vendors, the corpus of real vectors with the
//     expected verdict of each, and the attacks on all verifiers.
//   - internal/claims: what a verification proved. Only verifiers can make it.
//   - policy: decides from claims. It cannot be given evidence, so a path that
//     skips verification does not compile.
//   - measure: reference values, signed: which measurement is which Keep.
//     measure/predict computes what an image measures to, measure/release makes
//     reference values of it, measure/corim words them for other verifiers.
//   - audit: the receipt that the tenant keeps.
//
// # The Keep
//
//   - keep: its life in order, in one file: boot, identity, attest, receive,
//     check, run, exit. cmd/keep is the program.
//   - keep/session: the messages inside the attested channel.
//   - keep/child: the engine child, the process that runs the workload's code
//     and has nothing to prove with.
//   - keep/wasi, keep/engine: the system interface and the engines below it.
//   - keep/socket: sockets, with TLS made in the parent.
//   - keep/quote: asks the platform for evidence.
//   - keep/guest: the first process of a Keep's own machine, from boot to
//     power-off; internal/guestport is what it and its loader agree on.
//   - internal/sandbox: what the Keep's processes may ask of the kernel, as data.
//   - image: the image that a Keep in a virtual machine is started from. The same
//     inputs give the same bytes; image/cpio, deb, uki and disk are its formats,
//     image/fetch finds pinned packages.
//
// # The host
//
//   - sallyport: the one channel between a Keep and its host. SPEC.md is short.
//   - loader: starts Keeps; loader/process is the platform that needs nothing
//     installed, loader/loadertest the suite that every platform must pass.
//   - agent: the daemon and its HTTP API (agent/openapi.yaml). agent/relay is the
//     host's side of one Keep; enarx run uses it too.
//
// # The tenant
//
//   - client: the agent's API and the deployment on top of it.
//   - cmd/enarx: the commands, one file each; testdata has them as stories.
//
// Leaves that several of these stand on: internal/detcbor (deterministic CBOR),
// internal/dsse (signed envelopes), internal/codecache (compiled code of local
// runs) and internal/wat (modules in text form).
//
// # What holds it together
//
// arch_test.go is the architecture as tests: who may import whom, what the Keep
// may depend on, and that nobody reads a clock where time is an argument. Tests
// named TestInvariantN attack the invariants that docs/threat-model.md lists.
// RATIONALE.md has the roads not taken.
package enarx
