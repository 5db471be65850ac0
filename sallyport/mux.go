// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sallyport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// The frames of yamux, as its specification (spec.md of the module) has them:
// version, type, flags (u16), stream (u32), length (u32), big-endian.
const (
	muxHeader = 12

	muxData   = 0
	muxWindow = 1
	muxPing   = 2
	muxGoAway = 3

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8
)

// muxConn stands between the line and yamux. yamux trusts its peer more than
// we may: it answers each ping with a goroutine, takes any stream number, can
// be made to hold as many closed streams as the peer likes, has no way to
// reset a stream, and shows the end of a session as a clean end of every
// stream. So every frame is checked here, streams are counted, unread bytes
// are bounded, streams can be reset, and an honest end is told from a cut.
type muxConn struct {
	line *Line
	self role

	closed    chan struct{}
	closeOnce sync.Once
	frames    atomic.Uint64 // frames received: the sign of life

	rmu     sync.Mutex // held by Read: it alone touches the line's input
	hdr     [muxHeader]byte
	have    int
	out     []byte // bytes that yamux gets next
	body    int    // bytes of the current frame's body still to come
	skip    bool   // they are for nobody
	lastSYN uint32

	wbuf []byte // yamux's sender only
	want int    // bytes of body that it still owes for the header in wbuf

	mu       sync.Mutex
	err      error // why the session failed, the first reason
	streams  map[uint32]*streamState
	incoming int // those among streams that the peer opened
	buffered int
	limit    int      // of buffered
	reads    int      // counts reads of any stream
	resets   []uint32 // streams that yamux is still to be told are reset
	toReset  []uint32 // streams that the peer is still to be told are reset
	telling  bool     // a goroutine tells it
	wake     chan struct{}
	outBuf   [muxHeader]byte
}

type streamState struct {
	fin      bool // the peer has ended its direction
	buffered int  // bytes that were handed to yamux and not read from it
	lastRead int  // muxConn.reads when something was last read from it
}

func newMuxConn(l *Line, self role, limit int) *muxConn {
	return &muxConn{
		line: l, self: self, limit: limit,
		closed: make(chan struct{}), wake: make(chan struct{}, 1),
		streams: make(map[uint32]*streamState),
	}
}

// Close wakes Read. A write that the peer does not take goes on until it does
// or the line is closed.
func (m *muxConn) Close() error {
	m.closeOnce.Do(func() { close(m.closed) })
	return nil
}

// fail keeps the first reason.
func (m *muxConn) fail(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
	return err
}

func (m *muxConn) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Read gives yamux checked frames.
func (m *muxConn) Read(p []byte) (int, error) {
	m.rmu.Lock()
	defer m.rmu.Unlock()
	for {
		select {
		case <-m.closed:
			return 0, io.ErrClosedPipe
		default:
		}
		if len(m.out) > 0 {
			n := copy(p, m.out)
			m.out = m.out[n:]
			return n, nil
		}
		if m.body == 0 && m.have == 0 && m.nextReset() {
			continue
		}
		var wake chan struct{}
		if m.body == 0 && m.have == 0 {
			wake = m.wake
		}
		if err := m.line.fill(m.closed, wake); err == errWoken {
			continue
		} else if err != nil {
			return 0, m.fail(err)
		}
		if m.body > 0 {
			if n := m.copyBody(p); n > 0 {
				return n, nil
			}
			continue
		}
		n := copy(m.hdr[m.have:], m.line.rest)
		m.line.rest = m.line.rest[n:]
		if m.have += n; m.have == muxHeader || m.hdr[0] != 0 {
			if err := m.frame(); err != nil {
				return 0, m.fail(err)
			}
			m.have = 0
		}
	}
}

func (m *muxConn) copyBody(p []byte) int {
	n := min(m.body, len(m.line.rest))
	if !m.skip {
		n = copy(p, m.line.rest[:n])
	}
	m.line.rest = m.line.rest[n:]
	m.body -= n
	if m.skip {
		return 0
	}
	return n
}

// nextReset makes yamux believe that the peer has reset a stream.
func (m *muxConn) nextReset() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.resets) == 0 {
		return false
	}
	m.out = resetFrame(m.resets[0])
	m.resets = m.resets[1:]
	return true
}

func resetFrame(id uint32) []byte {
	b := make([]byte, muxHeader)
	b[1] = muxWindow
	binary.BigEndian.PutUint16(b[2:], flagRST)
	binary.BigEndian.PutUint32(b[4:], id)
	return b
}

// ErrGarbage is in the error of a session that failed because the channel
// carried something that is no frame: noise, or the other end beginning anew.
// Connecting again on the same [Line] finds the other end.
var ErrGarbage = errors.New("the channel is out of step; connect again")

// frame checks the header in m.hdr and passes it on, or not.
func (m *muxConn) frame() error {
	if m.hdr[0] != 0 {
		return fmt.Errorf("sallyport: a frame begins with %#02x, expected 0: %w", m.hdr[0], ErrGarbage)
	}
	typ, flags := m.hdr[1], binary.BigEndian.Uint16(m.hdr[2:])
	id, length := binary.BigEndian.Uint32(m.hdr[4:]), binary.BigEndian.Uint32(m.hdr[8:])
	switch {
	case typ == muxGoAway:
		return fmt.Errorf("sallyport: the other end has given the session up with reason %d", length)
	case typ != muxData && typ != muxWindow:
		return fmt.Errorf("sallyport: frame of type %d, expected data or window: %w", typ, ErrGarbage)
	case flags&^(flagSYN|flagACK|flagFIN|flagRST) != 0 || id == 0:
		return fmt.Errorf("sallyport: frame with flags %#x for stream %d: %w", flags, id, ErrGarbage)
	case typ == muxData && length > maxFrame:
		return fmt.Errorf("sallyport: frame of %d bytes, at most %d are allowed: %w", length, maxFrame, ErrGarbage)
	}
	m.frames.Add(1)
	if flags&flagSYN != 0 {
		if flags != flagSYN || typ != muxWindow || id%2 != m.parity(m.self.peer()) || id <= m.lastSYN {
			return fmt.Errorf("sallyport: stream %d is opened out of turn (flags %#x, last was %d)", id, flags, m.lastSYN)
		}
		m.lastSYN = id
		if !m.admit(id) {
			// Nothing of it reaches yamux, and its data will be dropped. The
			// reader waits until the peer takes the reset: a flood stops
			// itself.
			return m.line.write(resetFrame(id), m.closed)
		}
	}
	m.body, m.skip = 0, false
	if typ == muxData {
		m.body = int(length)
	}
	if !m.account(id, flags, m.body) {
		m.skip = true
		return nil
	}
	m.out = m.outBuf[:copy(m.outBuf[:], m.hdr[:])]
	return nil
}

// parity of the stream numbers that an end gives out.
func (m *muxConn) parity(r role) uint32 {
	if r == roleHost {
		return 1 // yamux client
	}
	return 0
}

// admit registers a stream that the peer opens.
func (m *muxConn) admit(id uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.incoming >= maxStreams {
		return false
	}
	m.incoming++
	m.streams[id] = &streamState{lastRead: m.reads}
	return true
}

// account keeps the books of one frame; false if its stream is not known.
func (m *muxConn) account(id uint32, flags uint16, n int) bool {
	m.mu.Lock()
	s := m.streams[id]
	if s == nil {
		m.mu.Unlock()
		return false
	}
	if flags&flagFIN != 0 {
		s.fin = true
	}
	s.buffered += n
	m.buffered += n
	victim := uint32(0)
	if m.buffered > m.limit {
		victim = m.stalled()
		m.drop(victim)
	}
	m.mu.Unlock()
	if victim != 0 {
		m.reset(victim)
	}
	return victim != id
}

// stalled chooses the stream to give up when too much is unread: of those that
// hold something worth freeing, the one that nobody has read from for longest,
// so that a stream which is being read is not punished for being fast.
func (m *muxConn) stalled() uint32 {
	victim, any := uint32(0), uint32(0)
	for id, s := range m.streams {
		if s.buffered >= m.limit/maxStreams && (victim == 0 || s.lastRead < m.streams[victim].lastRead) {
			victim = id
		}
		if any == 0 || s.buffered > m.streams[any].buffered {
			any = id
		}
	}
	if victim == 0 {
		return any
	}
	return victim
}

// drop forgets a stream; m.mu is held.
func (m *muxConn) drop(id uint32) {
	s := m.streams[id]
	if s == nil {
		return
	}
	m.buffered -= s.buffered
	if id%2 == m.parity(m.self.peer()) {
		m.incoming--
	}
	delete(m.streams, id)
}

// forget is called when a stream has ended on both sides.
func (m *muxConn) forget(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
}

// consumed is called when n bytes of a stream have been read.
func (m *muxConn) consumed(id uint32, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.streams[id]; s != nil {
		n = min(n, s.buffered)
		s.buffered -= n
		m.buffered -= n
		m.reads++
		s.lastRead = m.reads
	}
}

// finished says whether the peer has ended its direction of a stream.
func (m *muxConn) finished(id uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[id]
	return s != nil && s.fin
}

// reset ends a stream at once, at both ends: yamux here is told that the peer
// did it, and the peer is told the same.
func (m *muxConn) reset(id uint32) {
	m.mu.Lock()
	m.drop(id)
	m.resets = append(m.resets, id)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
	m.tell(id)
}

// tell tells the peer that a stream is reset. The caller may be the reader and
// the peer need not be reading, so it never waits; a peer that makes us owe it
// too many resets loses the session.
func (m *muxConn) tell(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.toReset) >= maxStreams {
		if m.err == nil {
			m.err = fmt.Errorf("sallyport: the other end does not take its %d resets", maxStreams)
		}
		_ = m.Close()
		return
	}
	m.toReset = append(m.toReset, id)
	if !m.telling {
		m.telling = true
		go m.tellAll()
	}
}

func (m *muxConn) tellAll() {
	for {
		m.mu.Lock()
		if len(m.toReset) == 0 {
			m.telling = false
			m.mu.Unlock()
			return
		}
		id := m.toReset[0]
		m.toReset = m.toReset[1:]
		m.mu.Unlock()
		if m.line.write(resetFrame(id), m.closed) != nil {
			return // the session is ending; telling stays set
		}
	}
}

// Write takes what yamux sends, first a header and then its body, and puts
// both on the line in one piece, so that a reset never falls between them.
func (m *muxConn) Write(p []byte) (int, error) {
	select {
	case <-m.closed:
		return 0, io.ErrClosedPipe
	default:
	}
	if m.want == 0 {
		m.wbuf = append(m.wbuf[:0], p...)
		if len(p) != muxHeader {
			return 0, m.fail(fmt.Errorf("sallyport: mux sent a header of %d bytes, expected %d", len(p), muxHeader))
		}
		if binary.BigEndian.Uint16(p[2:])&flagSYN != 0 {
			m.opened(binary.BigEndian.Uint32(p[4:]))
		}
		if p[1] == muxData {
			m.want = int(binary.BigEndian.Uint32(p[8:]))
		}
		if m.want > 0 {
			return len(p), nil
		}
	} else {
		m.wbuf = append(m.wbuf, p...)
		if m.want -= len(p); m.want > 0 {
			return len(p), nil
		}
	}
	if err := m.line.write(m.wbuf, m.closed); err != nil {
		return 0, m.fail(err)
	}
	return len(p), nil
}

// opened registers a stream of ours before the peer can answer on it.
func (m *muxConn) opened(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams[id] = &streamState{lastRead: m.reads}
}
