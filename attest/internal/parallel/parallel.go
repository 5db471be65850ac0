// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package parallel does a few independent computations at the same time.
//
// A verification needs several signature checks, each of which takes longer
// than everything else together and depends on no other: with two cores, half
// of the wait is unnecessary. What is computed, and in which order the verdict
// reads it, does not depend on how many cores there are; where there is only
// one, as under WebAssembly, everything runs in the caller.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// maxWorkers bounds the goroutines, the caller's included, that work for one
// call: a verification has up to ten checks, and more workers than that would
// only take cores away from other verifications.
const maxWorkers = 4

// Do calls each of tasks once and returns when all have returned. They are
// begun in order, on the calling goroutine and up to three others; so the
// longest should stand first. A panic in any of them is raised again in the
// caller, once nothing runs any more.
func Do(tasks []func()) {
	workers := min(len(tasks), maxWorkers)
	if workers > 1 {
		workers = min(workers, runtime.GOMAXPROCS(0))
	}
	if workers < 2 {
		for _, f := range tasks {
			f()
		}
		return
	}
	r := &run{tasks: tasks}
	r.left.Add(len(tasks))
	for range workers - 1 {
		go r.work()
	}
	r.work()
	// A helper that the scheduler has not started by now finds nothing to do,
	// and nobody waits for it: what is counted are tasks.
	r.left.Wait()
	if p := r.panicked.Load(); p != nil {
		panic(*p)
	}
}

type run struct {
	tasks    []func()
	next     atomic.Int32
	left     sync.WaitGroup
	panicked atomic.Pointer[any]
}

func (r *run) work() {
	for {
		i := int(r.next.Add(1)) - 1
		if i >= len(r.tasks) {
			return
		}
		r.one(r.tasks[i])
	}
}

func (r *run) one(f func()) {
	defer r.left.Done()
	defer func() {
		if p := recover(); p != nil {
			r.panicked.CompareAndSwap(nil, &p)
		}
	}()
	f()
}
