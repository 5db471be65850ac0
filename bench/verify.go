// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// metrics are what one benchmark of ./bench/verify reported, by name.
type metrics map[string]float64

// dcapQVL is what dcap-qvl's authors published for one complete verification
// of a TD quote with collateral, in microseconds (benchmarks/go-ffi of
// Phala-Network/dcap-qvl, February 2026): 1,000 in 920 ms on one thread of
// hardware that they do not name.
const dcapQVL = 920

// benchVerify runs the benchmarks of ./bench/verify, which has the peers, and
// compares with the goals.
func (b *bench) benchVerify() error {
	fmt.Println("verify: evidence of real hardware beside other verifiers, in one process: median wall time [lowest tenth] (median CPU time)")
	all, err := b.verifications(fmt.Sprintf("%dx", 5*b.rounds), "Milan|Genoa|TDX|SGX|Nitro")
	if err != nil {
		return err
	}
	for _, name := range []string{"Milan", "Genoa"} {
		m := all[name]
		fmt.Printf("  snp, %s:\n", name)
		m.print("p384", "one bare P-384 check")
		m.print("rsa", "one bare RSA check (4,096 bits, PSS)")
		m.print("warm", "ours, chain cached")
		m.print("cold", "ours, nothing cached")
		m.print("go-sev-guest", "go-sev-guest")
		m.print("cold-no-list", "ours, nothing cached, no list")
		m.print("go-sev-guest-no-list", "go-sev-guest, no list")
		m.goal("warm", "p384", 1.15, "a bare P-384 check")
		m.goal("cold", "go-sev-guest", 0.6, "go-sev-guest")
		m.goal("cold-no-list", "go-sev-guest-no-list", 0.6, "go-sev-guest, no list on either side")
	}
	m := all["TDX"]
	fmt.Println("  tdx, quote version 4 with collateral:")
	m.printQuote()
	m.print("go-tdx-guest", "go-tdx-guest")
	m.print("go-tdx-guest-chain-only", "go-tdx-guest, no collateral, no lists")
	m.goal("cold", "go-tdx-guest", 0.4, "go-tdx-guest")
	checks := m["µs/cold"] / m["µs/p256"]
	fmt.Printf("    %s\n", goal(m["µs/cold"] <= dcapQVL, fmt.Sprintf(
		"cold takes %.0f µs, %.1f bare P-256 checks; dcap-qvl's published %d µs are %.1f such checks of this machine", m["µs/cold"], checks, dcapQVL, dcapQVL/m["µs/p256"])))
	m = all["SGX"]
	fmt.Println("  sgx, quote version 3 with collateral:")
	m.printQuote()
	m.goal("cold", "all-checks", 1.3, "its ten signature checks, one after the other")
	m = all["Nitro"]
	fmt.Println("  nitro, document of an enclave with its chain:")
	m.print("p384", "one bare P-384 check")
	m.print("all-checks", "its five bare checks")
	m.print("warm", "ours, chain cached")
	m.print("cold", "ours, nothing cached")
	return b.verifyLoad()
}

// verifyLoad prints what happens with many verifications at once.
func (b *bench) verifyLoad() error {
	all, err := b.verifications(fmt.Sprintf("%dx", max(b.rounds/2, 3)), "Rate")
	if err != nil {
		return err
	}
	burst, err := b.verifications(fmt.Sprintf("%dx", max(b.rounds/2, 3)), "Burst")
	if err != nil {
		return err
	}
	fmt.Println("  all cores, and 64 that arrive at the same time:")
	for _, name := range []string{"snp-warm", "snp-cold", "go-sev-guest", "tdx-warm", "tdx-cold", "go-tdx-guest", "sgx-warm", "sgx-cold", "nitro-warm", "nitro-cold"} {
		fmt.Printf("    %-36s %6.0f per second; of 64: p50 %6.1f ms, p99 %6.1f ms\n", name, all["Rate"]["per-second/"+name],
			burst["Burst"]["p50-µs/"+name]/1e3, burst["Burst"]["p99-µs/"+name]/1e3)
	}
	return nil
}

func (m metrics) print(way, text string) {
	fmt.Printf("    %-36s %6.0f µs [%.0f] (%.0f), %5.0f allocations, %6.1f KiB\n", text,
		m["µs/"+way], m["low-µs/"+way], m["cpu-µs/"+way], m["allocs/"+way], m["B/"+way]/1024)
}

func (m metrics) printQuote() {
	m.print("p256", "one bare P-256 check")
	m.print("all-checks", "its ten bare checks")
	m.print("warm", "ours, certificates and lists cached")
	m.print("cold", "ours, nothing cached")
}

// goal compares two ways. Wall time decides; CPU time stands beside it, because
// where two cores are free ours checks signatures on both.
func (m metrics) goal(way, than string, most float64, text string) {
	ratio := m["µs/"+way] / m["µs/"+than]
	fmt.Printf("    %s\n", goal(ratio <= most, fmt.Sprintf("%s is %.2fx of %s, at most %.2fx wanted (lowest tenths: %.2fx; CPU: %.2fx)",
		way, ratio, text, most, m["low-µs/"+way]/m["low-µs/"+than], m["cpu-µs/"+way]/m["cpu-µs/"+than])))
}

// verifications runs some benchmarks of ./bench/verify.
func (b *bench) verifications(times, pattern string) (map[string]metrics, error) {
	var stdout bytes.Buffer
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark("+pattern+")$", "-benchtime", times, "./bench/verify")
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, &stdout)
	}
	return parseBenchmarks(stdout.String())
}

// parseBenchmarks reads the lines of testing's benchmarks: name, count, then
// pairs of value and unit.
func parseBenchmarks(out string) (map[string]metrics, error) {
	all := map[string]metrics{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 || len(f)%2 != 0 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-")
		m := metrics{}
		for i := 2; i < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmark %s: %w", name, err)
			}
			m[f[i+1]] = v
		}
		all[name] = m
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no benchmark has reported anything: %q", out)
	}
	return all, nil
}
