// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package parallel

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// cores runs a test with n processors.
func cores(t *testing.T, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestEveryTaskRunsOnce(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		cores(t, procs)
		for n := range 20 {
			ran := make([]atomic.Int32, n)
			tasks := make([]func(), n)
			for i := range tasks {
				tasks[i] = func() { ran[i].Add(1) }
			}
			Do(tasks)
			for i := range ran {
				if got := ran[i].Load(); got != 1 {
					t.Errorf("%d processors, %d tasks: task %d ran %d times", procs, n, i, got)
				}
			}
		}
	}
}

// With one processor, tasks run in order in the caller: without a lock.
func TestOneProcessorStartsNothing(t *testing.T) {
	cores(t, 1)
	var order []int
	before := runtime.NumGoroutine()
	Do([]func(){
		func() { order = append(order, 0, runtime.NumGoroutine()-before) },
		func() { order = append(order, 1, runtime.NumGoroutine()-before) },
	})
	if len(order) != 4 || order[0] != 0 || order[1] != 0 || order[2] != 1 || order[3] != 0 {
		t.Errorf("task, goroutines more: %v", order)
	}
}

// Two tasks that wait for each other end only if they run at the same time.
func TestTasksRunAtTheSameTime(t *testing.T) {
	cores(t, 2)
	meet := make(chan struct{})
	Do([]func(){
		func() { meet <- struct{}{} },
		func() { <-meet },
	})
}

func TestWorkersAreBounded(t *testing.T) {
	cores(t, 16)
	var now, most atomic.Int32
	tasks := make([]func(), 64)
	for i := range tasks {
		tasks[i] = func() {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
		}
	}
	Do(tasks)
	if n := most.Load(); n < 2 || n > maxWorkers {
		t.Errorf("up to %d tasks at the same time, expected 2 to %d", n, maxWorkers)
	}
}

// A panic reaches the caller, who may recover, whichever goroutine it was in;
// the other tasks have ended by then.
func TestPanicReachesTheCaller(t *testing.T) {
	for _, procs := range []int{1, 2} {
		cores(t, procs)
		for bad := range 2 {
			meet := make(chan struct{}, 2)
			task := func(i int) func() {
				return func() {
					meet <- struct{}{}
					for procs > 1 && len(meet) < 2 {
						runtime.Gosched() // each of the two is in a goroutine of its own
					}
					if i == bad {
						panic("bad task")
					}
				}
			}
			got := func() (p any) {
				defer func() { p = recover() }()
				Do([]func(){task(0), task(1)})
				return nil
			}()
			if got != "bad task" {
				t.Errorf("%d processors, task %d: recovered %v", procs, bad, got)
			}
		}
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	cores(t, 4)
	before := runtime.NumGoroutine()
	for range 1000 {
		Do([]func(){func() {}, func() {}, func() {}})
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}
