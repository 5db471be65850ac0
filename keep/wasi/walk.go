// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wasi

import "strings"

// place is where a path leads: a name in an open directory. The name is "."
// for the directory itself.
type place struct {
	dir  dir
	name string
	// mustDir says that the path ended in a slash: what is there, if
	// anything, has to be a directory.
	mustDir bool

	walker *walker
}

// done frees the directories that the walk opened.
func (p *place) done() { p.walker.drop(1) }

// walker goes along one path. stack[0] is where it began and is not its own;
// ".." goes back to the directory that it came through, which never is above
// stack[0], whatever was renamed meanwhile.
type walker struct {
	stack []dir
	todo  []string // components ahead, the next one last
	links int
	// mustDir is set once the path, or a link at its end, ends in a slash.
	mustDir bool
}

func (w *walker) top() dir { return w.stack[len(w.stack)-1] }

// drop closes directories until n are left.
func (w *walker) drop(n int) {
	for i := n; i < len(w.stack); i++ {
		w.stack[i].close()
	}
	w.stack = w.stack[:n]
}

// walk finds where path leads from start. With follow, a link at the end is
// followed; without, it is what the path leads to. The place has to be freed
// with done.
func walk(start dir, path string, follow bool) (place, errno) {
	w := &walker{stack: []dir{start}}
	rc := w.push(path)
	if rc != errnoSuccess {
		return place{}, rc
	}
	name, rc := w.run(follow)
	if rc != errnoSuccess {
		w.drop(1)
		return place{}, rc
	}
	return place{dir: w.top(), name: name, mustDir: w.mustDir, walker: w}, errnoSuccess
}

// slashed says that a path ends in a slash, or in a dot that means the same:
// what it leads to has to be a directory, and a link there is followed.
func slashed(path string) bool {
	return strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.")
}

// push puts the components of a path or of a link's target ahead.
func (w *walker) push(path string) errno {
	switch {
	case path == "":
		return errnoNoEnt
	case strings.IndexByte(path, 0) >= 0:
		return errnoInval
	case path[0] == '/':
		return errnoPerm
	}
	if len(w.todo) == 0 && slashed(path) {
		w.mustDir = true
	}
	parts := strings.Split(path, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if p := parts[i]; p != "" && p != "." {
			if len(p) > maxNameBytes {
				return errnoNameTooLong
			}
			w.todo = append(w.todo, p)
		}
	}
	return errnoSuccess
}

// run goes on until one name is left and returns it.
func (w *walker) run(follow bool) (string, errno) {
	for len(w.todo) > 0 {
		name := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		last := len(w.todo) == 0
		var rc errno
		switch {
		case name == "..":
			if len(w.stack) == 1 {
				return "", errnoPerm
			}
			w.drop(len(w.stack) - 1)
		case last && !follow:
			return name, errnoSuccess
		case last:
			stat, lrc := w.top().lookup(name)
			if lrc != errnoSuccess || stat.typ != typeSymlink {
				// What is not there may be about to be created.
				return name, errnoSuccess
			}
			var target string
			if target, rc = w.top().readlink(name); rc == errnoSuccess {
				rc = w.follow(target)
			}
		default:
			rc = w.enter(name)
		}
		if rc != errnoSuccess {
			return "", rc
		}
	}
	return ".", errnoSuccess
}

// enter goes into a directory, through a link if it is one.
func (w *walker) enter(name string) errno {
	if len(w.stack) > maxDepth {
		return errnoNameTooLong
	}
	d, rc := w.top().openDir(name)
	switch rc {
	case errnoSuccess:
		w.stack = append(w.stack, d)
	case errnoNotDir, errnoLoop:
		target, lrc := w.top().readlink(name)
		if lrc == errnoInval { // not a link
			return errnoNotDir
		}
		if lrc != errnoSuccess {
			return lrc
		}
		return w.follow(target)
	}
	return rc
}

// follow puts the target of a link ahead.
func (w *walker) follow(target string) errno {
	if w.links++; w.links > maxSymlinks {
		return errnoLoop
	}
	return w.push(target)
}
