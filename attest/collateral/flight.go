// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"context"
	"sync"

	"github.com/enarx/enarx-go/attest/collateral/item"
)

// flights makes many askers for one item into one fetch. A fetch goes on as
// long as at least one asker waits for it, and ends when the last has gone.
type flights struct {
	mu sync.Mutex
	m  map[item.Item]*flight
}

type flight struct {
	done    chan struct{}
	result  Result // set before done is closed
	waiting int
	cancel  context.CancelFunc
}

// do runs f, or waits for whoever runs it already.
func (fs *flights) do(ctx context.Context, it item.Item, f func(context.Context) Result) Result {
	fs.mu.Lock()
	fl := fs.m[it]
	if fl == nil {
		if fs.m == nil {
			fs.m = map[item.Item]*flight{}
		}
		// The first asker's values, not its end: others may wait longer.
		inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight{done: make(chan struct{}), cancel: cancel}
		fs.m[it] = fl
		go func() {
			defer cancel()
			r := f(inner)
			fs.mu.Lock()
			fl.result = r
			if fs.m[it] == fl {
				delete(fs.m, it)
			}
			fs.mu.Unlock()
			close(fl.done)
		}()
	}
	fl.waiting++
	fs.mu.Unlock()
	select {
	case <-fl.done:
		return fl.result
	case <-ctx.Done():
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fl.waiting--; fl.waiting == 0 {
		fl.cancel()
		if fs.m[it] == fl {
			delete(fs.m, it) // a later asker begins anew
		}
	}
	return Result{Item: it, Outcome: Failed, Err: context.Cause(ctx)}
}
