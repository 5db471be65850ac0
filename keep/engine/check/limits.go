// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package check

// Bounds on what a module may declare, checked before the compiler sees it: it
// allocates by the counts that a module claims to have. The numbers are those
// that web browsers agreed on (WebAssembly JavaScript interface, appendix
// "Implementation-defined limits"), so that what they accept runs here.
const (
	// maxModuleBytes is the size of a module. The original Enarx took at
	// most 100,000,000 bytes; real modules (a whole CPython, 26 MB) are well
	// below.
	maxModuleBytes = 100_000_000
	maxTypes       = 1_000_000
	maxFunctions   = 1_000_000
	maxImports     = 1_000_000
	maxExports     = 1_000_000
	maxGlobals     = 1_000_000
	maxTables      = 100_000
	maxTags        = 1_000_000
	maxSegments    = 100_000
	// MaxTableElements is how many entries all tables may start with
	// together, and one element segment may hold; an entry costs up to 64
	// bytes while compiling.
	MaxTableElements = 10_000_000
	maxParams        = 1_000
	maxResults       = 1_000
	maxLocals        = 50_000
	// maxFunctionBytes is the code size of one function.
	maxFunctionBytes = 7_654_321
	// maxNesting is how deep blocks may be nested in a function. The
	// compiler's time grows with the square of it. Compilers nest a block
	// per case of a switch, which makes a thousand in large interpreters.
	maxNesting = 10_000
	// maxNames is how many entries one map of the name section may have.
	maxNames = 10_000_000
	// MaxValues bounds the parameters and the results of a host function:
	// no function of the system interface has more than nine.
	MaxValues = 16
	// maxReasonBytes cuts what the compiler says about a module: parts of
	// it may be names from the module.
	maxReasonBytes = 300
)
