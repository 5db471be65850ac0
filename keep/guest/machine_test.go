// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package guest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/internal/guestport"
)

// bootTime bounds a boot, and lifeTime what a test does then, under emulation
// on a machine that does other things as well.
const (
	bootTime = 120 * time.Second
	lifeTime = 60 * time.Second
)

// options of a machine.
type options struct {
	image   *image.Image
	qemu    string // path, if not that of this system
	cmdline string // if not that of the image
	append  string // more words on it
	memory  string
	args    []string // more arguments of QEMU
}

// machine is a running one, with the host's ends of its ports.
type machine struct {
	t      *testing.T
	port   net.Conn // sallyport
	lines  *bufio.Reader
	end    chan ending
	cmd    *exec.Cmd
	serial lockedBuffer

	qmp     net.Conn
	answers chan string   // to QMP commands
	down    chan struct{} // closed at QMP's SHUTDOWN
}

// ending is all that the host learns of a machine's end.
type ending struct {
	words   string
	goodbye *guestport.Goodbye
	reason  string   // of QMP's SHUTDOWN
	events  []string // of QMP
}

// start boots a machine. It is gone when the test ends.
func start(t *testing.T, o options) *machine {
	t.Helper()
	if o.qemu == "" {
		o.qemu = imagetest.QEMU(t)
	}
	dir, err := os.MkdirTemp("", "guest") // a socket's path is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ends := map[string]net.Listener{}
	for _, name := range []string{"sallyport", "words", "qmp"} {
		if ends[name], err = net.Listen("unix", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[name].Close() })
	}
	if o.cmdline == "" {
		o.cmdline = o.image.Manifest.Cmdline
	}
	if o.memory == "" {
		o.memory = "256"
	}
	args := []string{"-M", "q35,sata=off,usb=off,smbus=off,i8042=off,vmport=off,smm=off", "-accel", "tcg", "-cpu", "max,cx16=off",
		"-m", o.memory, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-qmp", "unix:" + dir + "/qmp", "-device", "virtio-serial-pci", "-device", "pvpanic-pci",
		"-chardev", "socket,id=c0,path=" + dir + "/sallyport", "-device", "virtserialport,chardev=c0,name=" + guestport.Sallyport,
		"-chardev", "socket,id=c1,path=" + dir + "/words", "-device", "virtserialport,chardev=c1,name=" + guestport.Words,
		"-kernel", o.image.Path(image.FileKernel), "-initrd", o.image.Path(image.FileInitrd),
		"-append", strings.TrimSpace(o.cmdline + " " + o.append)}
	m := &machine{t: t, end: make(chan ending, 1), cmd: exec.Command(o.qemu, append(args, o.args...)...),
		answers: make(chan string, 8), down: make(chan struct{})}
	m.cmd.Stdout, m.cmd.Stderr = &m.serial, &m.serial
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { m.cmd.Wait(); close(gone) }()
	t.Cleanup(func() {
		m.cmd.Process.Kill()
		<-gone
		if t.Failed() {
			t.Logf("serial port: %s", m.serial.String())
		}
	})
	words := accept(t, ends["words"])
	m.qmp = accept(t, ends["qmp"])
	m.port = accept(t, ends["sallyport"])
	m.lines = bufio.NewReader(m.port)
	go m.watch(words, gone)
	return m
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	l.(*net.UnixListener).SetDeadline(time.Now().Add(bootTime))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// watch collects what a machine says until it is gone.
func (m *machine) watch(words net.Conn, gone chan struct{}) {
	var e ending
	var wg sync.WaitGroup
	wg.Go(func() {
		defer words.Close() // shows that the goodbye has come
		var said bytes.Buffer
		defer func() { e.words = said.String() }()
		for {
			f, err := guestport.ReadFrame(words)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					fmt.Fprintf(&said, "[%v]", err)
				}
				return
			}
			if f.Type == guestport.TypeWords {
				said.Write(f.Payload)
				continue
			}
			if g, err := f.Goodbye(); err == nil {
				e.goodbye = &g
			}
			return
		}
	})
	wg.Go(func() { m.listen(&e) })
	<-gone
	wg.Wait()
	m.end <- e
}

// listen notes QMP's events, and passes answers on.
func (m *machine) listen(e *ending) {
	io.WriteString(m.qmp, `{"execute":"qmp_capabilities"}`+"\n")
	for s := bufio.NewScanner(m.qmp); s.Scan(); {
		var v struct {
			Event string
			Data  struct{ Reason string }
			QMP   any
		}
		switch {
		case json.Unmarshal(s.Bytes(), &v) != nil || v.QMP != nil:
			continue
		case v.Event == "":
			select {
			case m.answers <- s.Text():
			default:
			}
			continue
		}
		e.events = append(e.events, v.Event)
		if v.Event == "SHUTDOWN" && e.reason == "" {
			e.reason = v.Data.Reason
			close(m.down)
		}
	}
}

// memory is what is in the machine's memory, size bytes from 0 on.
func (m *machine) memory(size int) []byte {
	m.t.Helper()
	for len(m.answers) > 0 {
		<-m.answers
	}
	file := filepath.Join(m.t.TempDir(), "memory")
	fmt.Fprintf(m.qmp, `{"execute":"pmemsave","arguments":{"val":0,"size":%d,"filename":%q}}`+"\n", size, file)
	select {
	case a := <-m.answers:
		if !strings.Contains(a, `"return"`) {
			m.t.Fatalf("QEMU saves no memory: %s", a)
		}
	case <-time.After(lifeTime):
		m.t.Fatal("QEMU saves no memory")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// say sends a line on the sallyport and returns the answer; the first waits for
// the boot.
func (m *machine) say(line string) string {
	m.t.Helper()
	m.port.SetDeadline(time.Now().Add(bootTime))
	fmt.Fprintln(m.port, line)
	answer, err := m.lines.ReadString('\n')
	if err != nil && err != io.EOF {
		return "no answer: " + err.Error()
	}
	return strings.TrimSuffix(answer, "\n")
}

// gone waits for the machine's end.
func (m *machine) gone() ending {
	m.t.Helper()
	select {
	case e := <-m.end:
		return e
	case <-time.After(lifeTime):
		m.t.Fatalf("the machine does not end; its serial port said %q", m.serial.String())
	}
	return ending{}
}

// lockedBuffer is written by a process and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<20 {
		return len(p), nil
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
