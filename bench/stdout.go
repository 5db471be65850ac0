// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// floodMiB is how much one round of the stdout benchmark moves.
const floodMiB = 256

// benchStdout compares what a workload writes, as it comes out of enarx deploy,
// with what a native program writes into a pipe, as it comes out of a plain TLS
// connection with a TCP relay in between. Both are four processes: the program,
// the one that encrypts what it reads from it, the relay, the client. The rate
// is taken from the first byte to the last, so that neither side's start counts.
func (b *bench) benchStdout() error {
	fmt.Printf("stdout: %d MiB of standard output, from first byte to last: median (lowest)\n", floodMiB)
	a, err := b.startAgent()
	if err != nil {
		return err
	}
	defer a.stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var ours, plain times
	for round := -1; round < max(b.rounds/3, 3); round++ {
		x, err := b.drain(b.deploy(a, b.guests.flood, "--", strconv.Itoa(floodMiB))...)
		if err != nil {
			return err
		}
		y, err := b.plainTLS(self)
		if err != nil {
			return err
		}
		if round >= 0 {
			ours, plain = append(ours, x), append(plain, y)
		}
	}
	rate := func(t times) float64 { return floodMiB / t.median().Seconds() }
	fmt.Printf("  enarx deploy            %v  %5.0f MiB/s\n  plain TLS through relay %v  %5.0f MiB/s\n", ours, rate(ours), plain, rate(plain))
	ratio := rate(ours) / rate(plain)
	fmt.Printf("  %s\n", goal(ratio >= 0.8, fmt.Sprintf("%.2fx of plain TLS, at least 0.8x wanted", ratio)))
	return nil
}

// drain runs a program, reads all it writes and returns how long that took
// from the first byte on.
func (b *bench) drain(args ...string) (time.Duration, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stderr = b.env, &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	var start time.Time
	var total int64
	for {
		n, err := out.Read(buf)
		if total == 0 && n > 0 {
			start = time.Now()
		}
		total += int64(n)
		if err != nil {
			break
		}
	}
	took := time.Since(start)
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	if total != floodMiB<<20 {
		return 0, fmt.Errorf("%s: wrote %d bytes, expected %d", strings.Join(args, " "), total, floodMiB<<20)
	}
	return took, nil
}

// plainTLS starts the peers below as processes and drains the last of them.
func (b *bench) plainTLS(self string) (time.Duration, error) {
	server, serverAddr, err := startPeer(self, "peer-server")
	if err != nil {
		return 0, err
	}
	defer server()
	relay, relayAddr, err := startPeer(self, "peer-relay", serverAddr)
	if err != nil {
		return 0, err
	}
	defer relay()
	return b.drain(self, "peer-client", relayAddr)
}

// startPeer starts one peer, which says its address on its first line.
func startPeer(args ...string) (stop func(), address string, err error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	stop = func() { cmd.Process.Kill(); cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, "", err
	}
	return stop, strings.TrimSpace(line), nil
}

// peer is one process of the plain TLS pipe.
func peer(args []string) error {
	if args[0] == "peer-client" {
		conn, err := tls.Dial("tcp", args[1], &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{os.Stdout}, struct{ io.Reader }{conn}, make([]byte, 64<<10))
		return err
	}
	if args[0] == "peer-flood" {
		return flood()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	switch args[0] {
	case "peer-relay":
		return relay(conn, args[1])
	case "peer-server":
		return serve(conn)
	}
	return errors.New("no such peer")
}

// relay copies with ordinary reads and writes, as a relay that counts bytes and
// frames them must: splice(2) would be another thing to compare with.
func relay(conn net.Conn, to string) error {
	next, err := net.Dial("tcp", to)
	if err != nil {
		return err
	}
	go io.CopyBuffer(struct{ io.Writer }{next}, struct{ io.Reader }{conn}, make([]byte, 32<<10))
	_, err = io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{next}, make([]byte, 32<<10))
	conn.Close()
	return err
}

// serve sends what a program writes over TLS, with the key agreement of the
// attested channel.
func serve(conn net.Conn) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	t := tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program := exec.Command(self, "peer-flood")
	program.Stderr = os.Stderr
	out, err := program.StdoutPipe()
	if err != nil {
		return err
	}
	if err := program.Start(); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{t}, struct{ io.Reader }{out}, make([]byte, 64<<10)); err != nil {
		return err
	}
	return errors.Join(program.Wait(), t.Close())
}

// flood is the native program.
func flood() error {
	block := bytes.Repeat([]byte("x"), 64<<10)
	for range floodMiB << 20 / len(block) {
		if _, err := os.Stdout.Write(block); err != nil {
			return err
		}
	}
	return nil
}
