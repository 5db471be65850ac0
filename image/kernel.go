// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/enarx/enarx-go/image/deb"
)

// wantedModule is a module that the Keep's kernel needs, if it is not built in.
type wantedModule struct {
	name     string
	required bool // no image without it
	why      string
}

// wantedModules are in load order, each before what depends on it comes next.
var wantedModules = []wantedModule{
	{"virtio_pci", true, "the bus of the sallyport's port"},
	{"virtio_console", true, "the sallyport's port itself"},
	{"configfs", false, "where reports are asked for"},
	{"tsm", false, "the one interface to SNP and TDX reports"},
	{"sev_guest", false, "SNP reports"},
	{"tdx_guest", false, "TDX quotes"},
	{"pvpanic", false, "tells the host of a panic, so that it is not taken for a restart"},
	{"pvpanic_pci", false, "the device for it"},
}

// kernelPackage is what a kernel package holds.
type kernelPackage struct {
	control deb.Control
	release string // uname -r
	image   []byte // bzImage
	modules map[string]moduleFile
	builtin map[string]bool
}

type moduleFile struct {
	base string // file name: "tsm.ko.xz"
	data []byte
}

var (
	kernelFile = regexp.MustCompile(`^boot/vmlinuz-([0-9A-Za-z.+~_-]{1,100})$`)
	// moduleFiles also matches where merged-/usr packages put them.
	moduleFiles = regexp.MustCompile(`^(?:usr/)?lib/modules/[^/]+/(?:kernel/.*/([^/]+\.ko(?:\.[a-z0-9]+)?)|(modules\.builtin))$`)
)

// readKernel takes a kernel package apart.
func readKernel(b []byte) (*kernelPackage, error) {
	p, err := deb.Open(b)
	if err != nil {
		return nil, err
	}
	k := &kernelPackage{control: p.Control, modules: map[string]moduleFile{}, builtin: map[string]bool{}}
	if err := p.Files(k.visit); err != nil {
		return nil, err
	}
	if k.image == nil {
		return nil, fmt.Errorf("package %s has no /boot/vmlinuz: it is no kernel package", p.Control.Package)
	}
	if err := checkKernel(k.image); err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Control.Package, err)
	}
	return k, nil
}

func (k *kernelPackage) visit(name string, size int64, r io.Reader) error {
	if m := kernelFile.FindStringSubmatch(name); m != nil {
		if k.image != nil {
			return errors.New("two kernels in one package")
		}
		b, err := readBounded(r, name, size, maxKernel)
		k.release, k.image = m[1], b
		return err
	}
	m := moduleFiles.FindStringSubmatch(name)
	switch {
	case m == nil:
		return nil
	case m[2] != "":
		b, err := readBounded(r, name, size, maxList)
		for line := range strings.Lines(string(b)) {
			k.builtin[moduleName(strings.TrimSpace(line))] = true
		}
		return err
	case len(k.modules) >= maxModules:
		return fmt.Errorf("more than %d modules", maxModules)
	}
	b, err := readBounded(r, name, size, maxModule)
	k.modules[moduleName(m[1])] = moduleFile{m[1], b}
	return err
}

func readBounded(r io.Reader, name string, size, limit int64) ([]byte, error) {
	if size < 0 || size > limit {
		return nil, fmt.Errorf("%s has %d bytes, the most accepted is %d", name, size, limit)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// moduleName is a module's name in the kernel's words: files may write it with
// dashes, the kernel writes underscores.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// checkKernel looks for the header of the x86 boot protocol
// (Documentation/arch/x86/boot.rst): magic numbers and version.
func checkKernel(b []byte) error {
	if len(b) < 0x400 || binary.LittleEndian.Uint16(b[0x1fe:]) != 0xaa55 || string(b[0x202:0x206]) != "HdrS" {
		return errors.New("its kernel is no bzImage for x86")
	}
	// 2.15 is what kernels from 5.x on have.
	if v := binary.LittleEndian.Uint16(b[0x206:]); v < 0x20f {
		return fmt.Errorf("its kernel speaks boot protocol %d.%02d, expected 2.15 or later", v>>8, v&0xff)
	}
	return nil
}

// loadOrder returns the files of the wanted modules and of what they depend on,
// each after its dependencies.
func (k *kernelPackage) loadOrder() ([]moduleFile, error) {
	var order []moduleFile
	state := map[string]int{} // 1 while its dependencies are added, then 2
	var add func(name string) error
	add = func(name string) error {
		m, ok := k.modules[name]
		switch {
		case state[name] == 2 || !ok && k.builtin[name]:
			return nil
		case !ok:
			return fmt.Errorf("kernel %s has no module %s, and it is not built in", k.release, name)
		case state[name] == 1:
			return fmt.Errorf("kernel %s: module %s depends on itself", k.release, name)
		}
		state[name] = 1
		depends, err := m.depends()
		if err != nil {
			return fmt.Errorf("kernel %s: module %s: %w", k.release, name, err)
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return err
			}
		}
		state[name] = 2
		order = append(order, m)
		return nil
	}
	for _, w := range wantedModules {
		if _, ok := k.modules[w.name]; !ok && !w.required {
			continue
		}
		if err := add(w.name); err != nil {
			return nil, err
		}
	}
	if len(order) > maxNames {
		return nil, fmt.Errorf("kernel %s: %d modules are needed, the most accepted is %d", k.release, len(order), maxNames)
	}
	return order, nil
}

// depends reads which modules this one needs, from the section .modinfo of the
// module itself: kernel packages have no modules.dep, it is made when they are
// installed.
func (m moduleFile) depends() ([]string, error) {
	data := m.data
	switch ext := path.Ext(m.base); ext {
	case ".ko":
	case ".xz":
		var err error
		if data, err = deb.UnXZ(data, maxModule); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s is compressed in a way that is not known here", m.base)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil || s.Size > maxList {
		return nil, errors.New("no section .modinfo, or too large a one")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for _, field := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok {
			var names []string
			for _, n := range strings.Split(list, ",") {
				if n != "" {
					names = append(names, moduleName(n))
				}
			}
			return names, nil
		}
	}
	return nil, errors.New("its section .modinfo says nothing of dependencies")
}
