// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package verify measures the verifiers of evidence beside those of others, in
// one process, on the same vectors of real hardware. It has benchmarks only;
// part verify of "make bench" runs them and compares with the goals:
//
//	go test -run '^$' -bench . -benchtime 100x ./bench/verify
//
// Each benchmark runs all its ways in turn, a few verifications of each per
// iteration, so that what else the machine does falls on all of them, and
// reports medians as metrics named after the way: µs/warm is wall time, and
// cpu-µs/warm what the whole process computed meanwhile, which tells work from
// waiting.
//
// # Equal checks
//
// Peers get the same evidence, the vendor's roots and the time; collateral and
// lists come from memory. Their input is read and parsed within the
// measurement, as ours is. Where a revocation list is given, it is given to
// both. Ours do more in one call: levels, policy, attributes, debug and, for
// snp, chip are rows of every verdict, and go-sev-guest and go-tdx-guest have
// other packages for most of that, which are not called. The measurement, host
// data and report data of the vectors are nobody's, so those rows are waived.
package verify
