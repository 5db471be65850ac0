// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
)

// ownerSession serves a later session of the owner: it has checked fresh
// evidence on this connection and now proves that it holds the owner key, by a
// signature that is good on this connection only.
func (k *Keep) ownerSession(ctx context.Context, conn *session.Conn, p []byte) error {
	var proof session.OwnerProof
	if err := session.Decode(p, &proof); err != nil {
		return refused(session.CodeBadRequest, "%v", err)
	}
	k.mu.Lock()
	owner := k.owner
	delete(k.waiting, conn) // no rival for the claim
	k.mu.Unlock()
	if owner == nil {
		return refused(session.CodeNotOwner, "this keep has no owner yet")
	}
	if err := owner.CheckProof(conn.State(), proof); err != nil {
		return refused(session.CodeNotOwner, "%v", err)
	}
	msg, err := conn.Expect(session.TypeVerb)
	if err != nil {
		return err
	}
	var v session.Verb
	if err := session.Decode(msg, &v); err != nil {
		return refused(session.CodeBadRequest, "%v", err)
	}
	if err := within(conn, 0); err != nil {
		return err
	}
	k.mu.Lock()
	parting := k.parting
	if !parting {
		k.telling.Add(1)
	}
	k.mu.Unlock()
	if parting {
		return refused(session.CodeEnded, "the workload has ended")
	}
	defer k.telling.Done()
	over := make(chan struct{})
	defer close(over)
	go k.keepAlive(conn, over)
	switch v.Verb {
	case session.VerbStatus:
		return k.status(conn)
	case session.VerbLogs:
		return k.follow(conn, true, v.Follow)
	case session.VerbAttach:
		return k.follow(conn, false, true)
	case session.VerbStop:
		k.requestStop(session.Exit{End: session.EndStopped, Reason: "its owner stopped it"})
		return k.tellEnd(conn)
	}
	return refused(session.CodeBadRequest, "verb %q is not known", clip(v.Verb))
}

func (k *Keep) status(conn *session.Conn) error {
	k.mu.Lock()
	s := session.Status{State: string(k.state), NowNS: uint64(k.clock.Now().UnixNano())}
	r := k.running
	if k.state == attest.StateRunning {
		s.Digest = append([]byte(nil), k.bundleD[:]...)
		s.StartedNS = r.started
	}
	k.mu.Unlock()
	if r != nil {
		s.OutputBytes, s.LostBytes = r.log.counts()
		s.Ports, s.IdentityCert = r.ports, r.cert
	}
	b, err := session.Encode(&s)
	if err != nil {
		return err
	}
	return conn.WriteMessage(session.TypeStatus, b)
}

// follow sends the log, from its start or from now on, and with wait the end
// of the workload as well.
func (k *Keep) follow(conn *session.Conn, fromStart, wait bool) error {
	k.mu.Lock()
	r := k.running
	k.mu.Unlock()
	if r == nil {
		return refused(session.CodeEnded, "no workload is running yet")
	}
	// The reader only notices that the other end has left.
	var gone atomic.Bool
	go func() {
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				gone.Store(true)
				r.log.wake()
				return
			}
		}
	}()
	cur := r.log.cursor(fromStart)
	for {
		chunk, lost, ok := cur.read(wait, gone.Load)
		if lost > 0 {
			if err := conn.WriteMessage(session.TypeLoss, binary.BigEndian.AppendUint64(nil, lost)); err != nil {
				return err
			}
		}
		if !ok {
			break
		}
		t := session.TypeStdout
		if chunk.Stderr {
			t = session.TypeStderr
		}
		if err := conn.WriteMessage(t, chunk.Data); err != nil {
			return err
		}
	}
	if !wait {
		return k.status(conn)
	}
	return k.tellEnd(conn)
}

// tellEnd waits for the end of the workload and tells it.
func (k *Keep) tellEnd(conn *session.Conn) error {
	<-k.ended
	k.mu.Lock()
	e := k.exit
	k.mu.Unlock()
	return writeExit(conn, e)
}

func writeExit(conn *session.Conn, e session.Exit) error {
	e.Pad = make([]byte, session.ExitPad)
	b, err := session.Encode(&e)
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(farewell)); err != nil {
		return err
	}
	return conn.WriteMessage(session.TypeExit, b)
}
