// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Https-server-go serves HTTP on a listener that it was started with. It opens
// no socket and knows nothing of TLS or of Enarx: Enarx.toml asks for a TLS
// listener named "web", the Keep terminates TLS with a key that never leaves
// it, and the program finds the listener's descriptor by that name.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("https-server-go: ")
	l, err := listener("web")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.PathValue("name"))
	})
	http.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprintf(w, "%d bytes\n", n)
	})
	fmt.Println("serving")
	log.Fatal(http.Serve(l, nil))
}

// listener turns the pre-opened descriptor of that name into a listener.
// FD_NAMES lists the names of all pre-opened descriptors in order, separated
// by colons.
func listener(name string) (net.Listener, error) {
	for fd, n := range strings.Split(os.Getenv("FD_NAMES"), ":") {
		if n == name {
			// Descriptors begin blocking, as C expects. Go must be told
			// that this one is not, or waiting for it would stop all
			// goroutines.
			if err := syscall.SetNonblock(fd, true); err != nil {
				return nil, err
			}
			return net.FileListener(os.NewFile(uintptr(fd), name))
		}
	}
	return nil, fmt.Errorf("FD_NAMES is %q: no listener named %q", os.Getenv("FD_NAMES"), name)
}
