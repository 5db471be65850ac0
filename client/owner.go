// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/enarx/enarx-go/keep/session"
)

// own proves to the appraised Keep that this session is its owner's and asks
// for one thing.
func (s *Session) own(k *session.OwnerKey, v session.Verb) error {
	if s.admitted == nil {
		return errNotAppraised
	}
	p, err := k.Prove(s.conn.State())
	if err != nil {
		return err
	}
	if err := s.within(session.ExchangeTimeout); err != nil {
		return broke(stepOwner, err)
	}
	if err := s.send(session.TypeOwner, &p); err != nil {
		return broke(stepOwner, err)
	}
	if err := s.send(session.TypeVerb, &v); err != nil {
		return broke(stepOwner, err)
	}
	if v.Verb == session.VerbStatus {
		return nil // its answer comes at once
	}
	return s.within(0) // a workload may be silent for as long as it likes
}

// stepOwner is the step from the evidence to the answer of an owner's session.
const stepOwner = "before it answered its owner"

// Status asks how the workload is.
func (s *Session) Status(k *session.OwnerKey) (*session.Status, error) {
	if err := s.own(k, session.Verb{Verb: session.VerbStatus}); err != nil {
		return nil, err
	}
	p, err := s.conn.Expect(session.TypeStatus)
	if err != nil {
		return nil, broke(stepOwner, err)
	}
	if err := s.within(0); err != nil {
		return nil, broke(stepOwner, err)
	}
	var st session.Status
	if err := session.Decode(p, &st); err != nil {
		return nil, err
	}
	return &st, nil
}

// Stop ends the workload and waits for its end.
func (s *Session) Stop(ctx context.Context, k *session.OwnerKey) (*session.Exit, error) {
	defer context.AfterFunc(ctx, func() { s.tunnel.Close() })()
	if err := s.own(k, session.Verb{Verb: session.VerbStop}); err != nil {
		return nil, err
	}
	return s.receive(ctx, nil, nil, nil, nil)
}

// Logs writes the log that the Keep holds. With follow it goes on to the end
// of the workload, which it returns. lost hears how many bytes are missing
// where.
func (s *Session) Logs(ctx context.Context, k *session.OwnerKey, follow bool, stdout, stderr io.Writer, lost func(uint64)) (*session.Exit, error) {
	defer context.AfterFunc(ctx, func() { s.tunnel.Close() })()
	if err := s.own(k, session.Verb{Verb: session.VerbLogs, Follow: follow}); err != nil {
		return nil, err
	}
	e, err := s.receive(ctx, stdout, stderr, nil, lost)
	if !follow && errors.Is(err, errStatus) {
		return nil, nil
	}
	return e, err
}

// Attach writes the output from now on until the workload ends.
func (s *Session) Attach(ctx context.Context, k *session.OwnerKey, stdout, stderr io.Writer, lost func(uint64)) (*session.Exit, error) {
	defer context.AfterFunc(ctx, func() { s.tunnel.Close() })()
	if err := s.own(k, session.Verb{Verb: session.VerbAttach}); err != nil {
		return nil, err
	}
	return s.receive(ctx, stdout, stderr, nil, lost)
}

// errStatus ends a log that is not followed: the Keep sends its status.
var errStatus = errors.New("end of the log so far")

// OpenRecord opens the sealed record of an ended Keep. channelKey is the key
// that was attested at deployment.
func OpenRecord(sealed []byte, k *session.OwnerKey, channelKey []byte) (*session.EndRecord, error) {
	pub, err := channelEd25519(channelKey)
	if err != nil {
		return nil, fmt.Errorf("end record: %w", err)
	}
	return k.OpenRecord(sealed, pub)
}
