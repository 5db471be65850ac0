// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/enarx/enarx-go/agent/api"
)

// event is one with the caller who may see it.
type event struct {
	api.Event
	caller string
}

// everyCaller stands for all callers. No caller has this name.
const everyCaller = "*"

func (e *event) visible(caller string) bool { return e.caller == caller || e.caller == everyCaller }

// eventLog is the last maxEvents events. Readers have a position in it and no
// queue of their own, so a slow one costs nothing and learns what it lost.
type eventLog struct {
	mu      sync.Mutex
	ring    [maxEvents]event
	last    uint64        // number of the newest event; 0 before the first
	changed chan struct{} // closed and replaced with every event
	readers int
}

func newEventLog() *eventLog { return &eventLog{changed: make(chan struct{})} }

func (l *eventLog) add(caller string, e api.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.Seq = l.last
	l.ring[l.last%maxEvents] = event{e, caller}
	close(l.changed)
	l.changed = make(chan struct{})
}

// after gives the events numbered above seq, how many of them are gone, and a
// channel that is closed when there are more.
func (l *eventLog) after(seq uint64) (events []event, lost uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A number from the future belongs to a former life of the agent: its
	// reader has seen nothing of this one.
	if seq > l.last {
		seq = 0
	}
	first := seq + 1
	if l.last >= maxEvents && first <= l.last-maxEvents {
		oldest := l.last - maxEvents + 1
		lost, first = oldest-first, oldest
	}
	for n := first; n <= l.last; n++ {
		events = append(events, l.ring[n%maxEvents])
	}
	return events, lost, l.changed
}

func (l *eventLog) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers >= maxSubscribers {
		return false
	}
	l.readers++
	return true
}

func (l *eventLog) leave() {
	l.mu.Lock()
	l.readers--
	l.mu.Unlock()
}

// emit tells one caller, or everyCaller. Keeps and their ends are their own
// caller's business only.
func (a *Agent) emit(caller string, e api.Event) {
	e.Time = a.now().UTC()
	a.events.add(caller, e)
}

// serveEvents streams events as lines of JSON until the caller or the agent
// goes.
func (a *Agent) serveEvents(w http.ResponseWriter, r *http.Request, _ string) *problem {
	caller, prob := a.auth.caller(r)
	if prob != nil {
		return prob
	}
	var seq uint64
	if s := r.URL.Query().Get("after"); s != "" {
		var err error
		if seq, err = strconv.ParseUint(s, 10, 64); err != nil {
			return fail(api.CodeBadRequest, "the parameter after is not the number of an event").
				saw(strconv.Quote(shorten(s)), "a number from 0").do("use the seq of the last event seen, or 0")
		}
	}
	if !a.events.enter() {
		return fail(api.CodeTooManySubscribers, "the agent serves as many event streams as it allows").
			saw(strconv.Itoa(maxSubscribers), "fewer").after(30).do("close one")
	}
	defer a.events.leave()
	w.Header().Set("Content-Type", api.TypeEvents)
	w.Header().Set("Cache-Control", "no-store")
	s := &eventWriter{rc: http.NewResponseController(w), enc: json.NewEncoder(w), seq: seq}
	if !s.send(api.Event{Type: api.EventHello, Time: a.now().UTC(), Boot: a.boot, Seq: seq}) {
		return nil
	}
	alive := time.NewTicker(aliveTime)
	defer alive.Stop()
	for {
		events, lost, more := a.events.after(s.seq)
		if len(events) > 0 {
			if lost > 0 && !s.send(api.Event{Type: api.EventLost, Time: a.now().UTC(), Seq: events[0].Seq - 1, Count: lost}) {
				return nil
			}
			for _, e := range events {
				if e.visible(caller) && !s.send(e.Event) {
					return nil
				}
			}
			s.seq = events[len(events)-1].Seq
			a.metrics.eventsLost.Add(float64(lost))
		}
		select {
		case <-more:
		case <-alive.C:
			if !s.send(api.Event{Type: api.EventAlive, Time: a.now().UTC(), Seq: s.seq}) {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-a.closing:
			return nil
		}
	}
}

type eventWriter struct {
	rc  *http.ResponseController
	enc *json.Encoder
	seq uint64
}

// send writes one line. A reader that does not read for a while is cut off.
func (s *eventWriter) send(e api.Event) bool {
	s.rc.SetWriteDeadline(time.Now().Add(aliveTime))
	return s.enc.Encode(e) == nil && s.rc.Flush() == nil
}
