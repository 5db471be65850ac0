// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"

	"github.com/enarx/enarx-go/internal/codecache"
	"github.com/enarx/enarx-go/workload"
)

// runCache lends the compiled code of one module to one local Keep of platform
// process, and takes it back after the first run. Trouble with it costs time
// and nothing else, so none of its errors ends a run.
type runCache struct {
	cache *codecache.Cache
	key   codecache.Key
	run   string
	lent  chan struct{} // closed when dir is set
	dir   string        // the Keep's directory, or "" for none
	hit   bool
	tried bool
}

// cacheHome is the directory of compiled code: this user's, private.
func cacheHome() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "enarx", "code"), nil
}

func openRunCache() *runCache {
	c := &runCache{lent: make(chan struct{})}
	home, err := cacheHome()
	if err != nil {
		return c
	}
	if err := os.MkdirAll(filepath.Dir(home), 0o700); err != nil {
		return c
	}
	c.cache, _ = codecache.Open(home, codecache.Options{})
	return c
}

// lend makes the directory that the Keep of this run will see as its cache.
func (c *runCache) lend(run string) string {
	defer close(c.lent)
	if c.cache == nil {
		return ""
	}
	c.run = run
	c.dir, _ = c.cache.Lend(run)
	return c.dir
}

// fetch places the code of the bundle's module where the Keep finds it, if
// there is any. The Keep starts meanwhile, or waits for the bundle; launched is
// closed when its start is over, with or without a directory for the code.
func (c *runCache) fetch(rt *keepRuntime, bundle []byte, launched <-chan struct{}) {
	if c.cache == nil || rt.measure() != nil {
		return
	}
	b, err := workload.Parse(bundle)
	if err != nil {
		return
	}
	c.key = codecache.Key{Keep: rt.Digest, Engine: "of the Keep", CPU: codecache.CPU(), Module: sha256.Sum256(b.Module())}
	select {
	case <-c.lent:
	case <-launched:
	}
	if c.dir == "" {
		return
	}
	if c.hit, err = c.cache.Fetch(c.key, c.dir); err != nil {
		return
	}
	c.tried = true
}

// collect keeps what the Keep has compiled. The Keep must be gone.
func (c *runCache) collect() {
	if c.cache == nil {
		return
	}
	if c.tried && !c.hit {
		c.cache.Collect(c.key, c.dir)
	}
	c.cache.Release(c.run)
	c.cache.Close()
}

// releaseLent removes what a run that was killed was lent.
func releaseLent(run string) {
	c := openRunCache()
	if c.cache != nil {
		c.cache.Release(run)
		c.cache.Close()
	}
}
