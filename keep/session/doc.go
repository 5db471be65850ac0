// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package session is the attested channel's own protocol: what a client and a
// Keep say to each other, end to end, through an agent that sees ciphertext.
//
// A session is a TLS 1.3 connection with hybrid post-quantum key agreement
// ([ServerTLS], [ClientTLS]) that carries padded frames ([Conn]). The order of
// messages is fixed and written down in SPEC.md beside this file: the client
// asks for evidence, appraises it, claims the Keep, sends the bundle and runs
// it; later sessions prove the owner key instead of claiming.
//
// Nothing here decides whether evidence is good. Package attest defines what
// is bound to the connection, the client appraises, and this package only
// carries the messages. Both ends treat the other as hostile: every length is
// checked against limits.go before anything is allocated, and a message out of
// order ends the session.
//
// What a listener on the wire learns is the number of frames, their direction
// and time, and which of the few sizes of [frameClasses] each has.
package session
