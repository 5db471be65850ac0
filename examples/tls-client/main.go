// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Tls-client talks to a server over a connection that it was started with. The
// Keep has dialled it, has checked the server's certificate against the CA
// roots in the bundle and does TLS; the program reads and writes plain text
// that nobody between the Keep and the server can see.
package main

import (
	"bufio"
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
	log.SetPrefix("tls-client: ")
	conn, err := connection("server")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	path := "/"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n", path); err != nil {
		log.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status)
	if _, err := io.Copy(os.Stdout, io.LimitReader(resp.Body, 1<<20)); err != nil {
		log.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		os.Exit(5)
	}
}

// connection turns the pre-opened descriptor of that name into a connection.
// FD_NAMES lists the names of all pre-opened descriptors in order, separated
// by colons.
func connection(name string) (net.Conn, error) {
	for fd, n := range strings.Split(os.Getenv("FD_NAMES"), ":") {
		if n == name {
			// Descriptors begin blocking, as C expects. Go must be told
			// that this one is not, or waiting for it would stop all
			// goroutines.
			if err := syscall.SetNonblock(fd, true); err != nil {
				return nil, err
			}
			return net.FileConn(os.NewFile(uintptr(fd), name))
		}
	}
	return nil, fmt.Errorf("FD_NAMES is %q: no connection named %q", os.Getenv("FD_NAMES"), name)
}
