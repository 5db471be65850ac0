// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package sallyport is the one narrow channel between a Keep and its host.
//
// The host calls [ConnectHost] on the byte channel that a loader gives it, then
// [Host.Start] and, per client, [Host.Attach]; what the Keep asks for arrives
// at its [Handler]. The Keep calls [ConnectKeep], then [Keep.StartConfig] and
// [Keep.AcceptAttach]; [Keep.Dial], [Keep.Listen], [Keep.Quote], [Keep.Spool],
// [Keep.Log] and [Keep.Exit] are its requests. The protocol is in SPEC.md.
//
//	host, err := sallyport.ConnectHost(ctx, k.Channel(), handler, sallyport.HostOptions{})
//	if err != nil {
//		return err
//	}
//	defer host.Close()
//	if err := host.Start(ctx, config); err != nil {
//		return err
//	}
//	tunnel, err := host.Attach(ctx) // the client's TLS session runs through it
//
// The channel may be any ordered byte channel: a socket pair, or a
// virtio-serial port of a VM, which has no end of file and may begin with
// rubbish ([NewPortLine]). Nothing relies on descriptors being passed, on end
// of file or on half-close of the channel. A session that meets garbage fails
// as a whole; both ends then connect again on the same [Line].
//
// # What is promised
//
// Nothing is secret or authentic here: whoever holds the channel reads and
// writes all of it. Confidentiality and integrity come from TLS inside the
// tunnels, which ends in the Keep. An attacker who owns the host's end can
// deny service, lie about addresses, hints and times, and see lengths, timing
// and dialled names; one who owns the Keep's end can use what the handler
// grants it, within the limits of limits.go.
//
// Each end takes the other for hostile. Every length is checked before memory
// is taken for it, every message is decoded strictly, every wait has an end,
// every stream is counted. There is no queue without a bound: past a limit a
// request is refused with a [Code], and where a reader is slow its own stream
// stops. What all streams of a session hold unread is bounded too, and the
// longest-stalled stream is reset rather than the channel stopped. [io.EOF] on
// a stream means that the peer has ended it; a channel that breaks is an error.
//
// What is not promised: fairness between streams, order between streams, or
// that a lifecycle code reaches a host that does not take it.
package sallyport
