// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/enarx/enarx-go/agent/api"
)

// parseCreate reads a create request strictly: exactly the known fields, each
// at most once, nothing after. What an agent does not understand it must not
// half obey.
func parseCreate(b []byte) (api.CreateRequest, error) {
	var req api.CreateRequest
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return req, errors.New("the body is not a JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return req, errors.New("the body is not a JSON object")
		}
		if seen[name] {
			return req, fmt.Errorf("field %q is there twice", shorten(name))
		}
		seen[name] = true
		switch name {
		case "platform":
			err = dec.Decode(&req.Platform)
		case "vcpus":
			err = dec.Decode(&req.VCPUs)
		case "memory_class":
			err = dec.Decode(&req.MemoryClass)
		default:
			return req, fmt.Errorf("field %q is unknown; the fields are platform, vcpus and memory_class", shorten(name))
		}
		if err != nil {
			return req, fmt.Errorf("field %q has a value of the wrong type or range", name)
		}
	}
	if _, err := dec.Token(); err != nil {
		return req, errors.New("the JSON object does not end")
	}
	if _, err := dec.Token(); err != io.EOF {
		return req, errors.New("something follows the JSON object")
	}
	return req, nil
}

// checkCreate completes a request with the agent's defaults and checks it
// against what never changes.
func (a *Agent) checkCreate(req *api.CreateRequest) *problem {
	if !slices.Contains(a.cfg.Platforms, req.Platform) {
		return fail(api.CodePlatformUnusable, "the agent does not offer this platform").
			saw(strconv.Quote(shorten(req.Platform)), "one of "+strings.Join(a.cfg.Platforms, ", ")).
			do("name one of these, or use another host")
	}
	if req.VCPUs < 0 || req.VCPUs > a.cfg.Limits.VCPUs {
		return fail(api.CodeBadRequest, "the number of virtual CPUs is out of range").
			saw(strconv.Itoa(req.VCPUs), fmt.Sprintf("0 to %d", a.cfg.Limits.VCPUs)).do("ask for fewer")
	}
	if req.MemoryClass == 0 {
		req.MemoryClass = a.cfg.Limits.DefaultMemory
	}
	if !validClass(req.MemoryClass) {
		return fail(api.CodeBadRequest, "the memory class is not one that exists").
			saw(strconv.FormatUint(req.MemoryClass, 10), fmt.Sprintf("a power of two from %d to %d bytes", uint64(minMemoryClass), uint64(maxMemoryClass))).
			do("round up to the next power of two")
	}
	return nil
}

func checkIdempotencyKey(key string) *problem {
	if len(key) < minIdempotencyKey || len(key) > maxIdempotencyKey ||
		strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return fail(api.CodeBadRequest, "the idempotency key has the wrong form").
			saw(fmt.Sprintf("%d bytes", len(key)), fmt.Sprintf("%d to %d letters, digits, - and _", minIdempotencyKey, maxIdempotencyKey)).
			do("make a random one for every Keep, such as 32 hexadecimal digits; whoever knows it can have the Keep's capability")
	}
	return nil
}

// attempt is one idempotency key in use. It lives as long as its Keep is
// remembered.
type attempt struct {
	req  api.CreateRequest
	done chan struct{} // closed when keep or prob is set
	keep *keep
	prob *problem
}

// create makes a Keep, or finds the one that the same caller made with the
// same key before. An empty key means: never found again.
func (a *Agent) create(ctx context.Context, caller string, req api.CreateRequest, key string) (*api.Created, *problem) {
	if prob := a.checkCreate(&req); prob != nil {
		return nil, prob
	}
	if key == "" {
		key = rand.Text() + rand.Text()
	}
	name := sha256.Sum256([]byte("enarx agent idempotency\x00" + caller + "\x00" + key))
	a.mu.Lock()
	at := a.attempts[name]
	if at != nil {
		a.mu.Unlock()
		return a.repeat(ctx, at, name, req)
	}
	k, prob := a.admit(caller, req, name)
	if prob != nil {
		a.mu.Unlock()
		a.metrics.refused.WithLabelValues(string(prob.Code)).Inc()
		return nil, prob
	}
	at = &attempt{req: req, done: make(chan struct{})}
	a.attempts[name] = at
	a.mu.Unlock()

	// The start goes on if the caller goes away: it will ask again with the
	// same key, or the Keep ends unclaimed.
	if prob := a.start(k); prob != nil {
		at.prob = prob
		a.mu.Lock()
		delete(a.attempts, name)
		a.mu.Unlock()
		close(at.done)
		a.metrics.refused.WithLabelValues(string(prob.Code)).Inc()
		return nil, prob
	}
	at.keep = k
	close(at.done)
	return a.answer(k, name), nil
}

func (a *Agent) repeat(ctx context.Context, at *attempt, name [32]byte, req api.CreateRequest) (*api.Created, *problem) {
	if at.req != req {
		return nil, fail(api.CodeIdempotencyReused, "this idempotency key was used with other parameters").do("make a fresh key for every Keep")
	}
	select {
	case <-at.done:
	case <-ctx.Done():
		return nil, fail(api.CodeKeepNotReady, "the Keep of this idempotency key is still starting").after(1).do("ask again with the same key")
	}
	if at.prob != nil {
		return nil, at.prob
	}
	return a.answer(at.keep, name), nil
}

func (a *Agent) answer(k *keep, name [32]byte) *api.Created {
	e := k.entry()
	c := a.capability(k.id, name)
	return &api.Created{
		ID: k.id, Capability: base64.RawURLEncoding.EncodeToString(c[:]), Platform: k.platform, State: e.State,
		VCPUs: k.vcpus, MemoryClass: k.memory, Created: k.created, ClaimBy: k.claimBy,
	}
}

// capability makes a Keep's capability. It is computed, not drawn, so that a
// repeated create can return it although only its hash is stored: the key a.secret
// is 32 random bytes of this life of the agent, and so the result is as good
// as random to everyone else.
func (a *Agent) capability(id string, name [32]byte) [32]byte {
	m := hmac.New(sha256.New, a.secret[:])
	m.Write([]byte("enarx agent capability\x00" + id + "\x00"))
	m.Write(name[:])
	return [32]byte(m.Sum(nil))
}

// admit checks the limits and takes the Keep's share of them. a.mu is held.
func (a *Agent) admit(caller string, req api.CreateRequest, name [32]byte) (*keep, *problem) {
	now, cost := a.now(), a.cfg.cost(req.Platform, req.MemoryClass)
	switch {
	case a.draining:
		return nil, fail(api.CodeDraining, "the agent is going down and takes no more Keeps").after(60).do("use another host, or come back later")
	case a.living >= a.cfg.Limits.Keeps:
		return nil, fail(api.CodeTooManyKeeps, "the host has as many Keeps as it allows").
			saw(strconv.Itoa(a.living), fmt.Sprintf("fewer than %d", a.cfg.Limits.Keeps)).after(10).do("stop one, wait, or use another host")
	case cost > a.cfg.Limits.Memory || a.memory > a.cfg.Limits.Memory-cost:
		return nil, fail(api.CodeTooMuchMemory, "the memory that the host gives to Keeps does not suffice").
			saw(fmt.Sprintf("%d bytes taken, %d needed", a.memory, cost), fmt.Sprintf("at most %d together", a.cfg.Limits.Memory)).
			after(10).do("ask for less, stop a Keep, wait, or use another host")
	}
	if wait := a.rate.take(now); wait > 0 {
		return nil, fail(api.CodeCreateRate, "Keeps are asked for faster than this host makes them").
			after(int(wait.Seconds()) + 1).do("wait as long as Retry-After says")
	}
	k := &keep{
		id: newID(), platform: req.Platform, caller: caller, created: now.UTC(), claimBy: now.Add(a.cfg.Limits.Unclaimed).UTC(),
		vcpus: req.VCPUs, memory: req.MemoryClass, cost: cost, state: api.StateStarting, gone: make(chan struct{}),
	}
	c := a.capability(k.id, name)
	k.capHash = sha256.Sum256(c[:])
	k.attempt = name
	a.keeps[k.id] = k
	a.living++
	a.memory += k.cost
	return k, nil
}

// startProblem words a failed start for the caller. Of the cause it gets the
// kind and a reference: paths, errors of the loader and words of a Keep stay in
// the log, under the Keep's id, for callers are not the host's operators.
func startProblem(id string, err error) *problem {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) {
		return fail(api.CodeStateWrite, "the agent cannot write its state, so it starts no Keep").
			saw(errnoText(err), "room in the state directory").after(30).do("the host's operator has to make room, and finds more in the agent's log under keep=" + id + "; or use another host")
	}
	return fail(api.CodeStartFailed, "the Keep did not start").
		after(5).do("try again; if it persists, the host's operator finds the cause in the agent's log under keep=" + id)
}

func errnoText(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return "an error"
}

func digestText(d [32]byte) string { return hex.EncodeToString(d[:]) }
