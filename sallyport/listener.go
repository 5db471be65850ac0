// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"context"
	"net"
	"sync"
)

// Listener is a listener that the host holds for the Keep.
type Listener struct {
	k      *Keep
	id     uint32
	addr   Addr
	queue  chan *Conn
	closed chan struct{}
	once   sync.Once
	err    error
}

// Listen asks the host for a listener at the guest's endpoint; publish, if not
// empty, is where the owner would like it on the host ("[addr:]port"). The
// listener's address is what the host says it has bound, and the remote
// address of a connection is what the host says it is.
func (k *Keep) Listen(ctx context.Context, at Endpoint, publish string) (net.Listener, error) {
	if err := checkEndpoint(at, true); err != nil {
		return nil, err
	}
	l := &Listener{k: k, queue: make(chan *Conn, MaxAccepted), closed: make(chan struct{})}
	// Known before the host can name it: a connection may overtake the answer.
	k.mu.Lock()
	k.lastID++
	l.id = k.lastID
	full := len(k.ls) >= MaxListeners
	if !full {
		k.ls[l.id] = l
	}
	k.mu.Unlock()
	if full {
		return nil, &RemoteError{CodeLimit, "this Keep has all the listeners it may have"}
	}
	m := listenMessage{ID: l.id, Host: at.Host, Port: at.Port, Publish: publish}
	_, b, err := k.request(ctx, kindListen, encode(m), false)
	if err != nil {
		l.shut()
		if _, refused := err.(*RemoteError); !refused {
			// The host may have opened it after all.
			go l.tellHost()
		}
		return nil, err
	}
	k.mu.Lock()
	l.addr = Addr(clean(string(b)))
	k.mu.Unlock()
	return l, nil
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-l.k.done:
		return nil, l.k.Err()
	}
}

// Addr is the address that the host says it has bound.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close closes the listener here and at the host, and resets the connections
// that nobody has accepted.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.shut()
		l.err = l.tellHost()
	})
	return l.err
}

func (l *Listener) tellHost() error {
	ctx, cancel := context.WithTimeout(l.k.ctx, lastWordTime)
	defer cancel()
	_, _, err := l.k.request(ctx, kindCloseListener, encode(listenerMessage{l.id}), false)
	return err
}

// shut ends the listener at this end.
func (l *Listener) shut() {
	l.k.mu.Lock()
	delete(l.k.ls, l.id)
	close(l.closed)
	l.k.mu.Unlock()
	for {
		select {
		case c := <-l.queue:
			c.abort()
		default:
			return
		}
	}
}

// takeAccepted brings a connection of the host's to the listener it names.
func (k *Keep) takeAccepted(body []byte) ([]byte, func(*Conn), error) {
	m, err := decode[acceptedMessage](body)
	if err != nil || len(m.Remote) > maxText || clean(m.Remote) != m.Remote {
		return nil, nil, malformed
	}
	k.mu.Lock()
	l := k.ls[m.ID]
	k.mu.Unlock()
	if l == nil {
		return nil, nil, &RemoteError{CodeNoListener, "no listener of that number"}
	}
	return nil, func(c *Conn) {
		// Under the lock, so that no connection falls between shut's two steps.
		k.mu.Lock()
		defer k.mu.Unlock()
		c.remote, c.local = Addr(m.Remote), l.addr
		if k.ls[m.ID] == l {
			select {
			case l.queue <- c:
				return
			default:
			}
		}
		c.abort()
	}, nil
}
