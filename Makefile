# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0

# make hello   build Enarx and run a program in a Keep: needs Go, nothing else
# make test    install what the tests need, build, run all tests
# make help    the other targets

SHELL := /bin/bash
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK ?= golang.org/x/vuln/cmd/govulncheck@v1.8.0
FUZZTIME ?= 20s
MUTATIONS ?= 100000

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

# The go command decides what is up to date, so every build goes to it.
.PHONY: build
build: ## build bin/keep and bin/enarx
	@mkdir -p bin
	@scripts/build keep bin/keep
	@scripts/build enarx bin/enarx

.PHONY: keep-wasmtime
keep-wasmtime: build ## build bin/keep-wasmtime, the Keep with the faster engine (needs gcc), and let bin/enarx accept it
	@ENARX_ENGINE=wasmtime scripts/build keep bin/keep-wasmtime
	@scripts/build enarx bin/enarx

# What enarx accepts of the image without being told: always vtpm; snp for one
# vCPU if a firmware that measures kernels is named, SEV_FIRMWARE=OVMF.amdsev.fd.
SEV_FIRMWARE ?= $(wildcard /usr/share/ovmf/OVMF.amdsev.fd)
LINKED = $(if $(SEV_FIRMWARE),--platform vtpm$(comma)snp --firmware $(SEV_FIRMWARE))
comma := ,

.PHONY: image
image: build ## build the image of VM Keeps: bin/image, and link what it measures to into bin/enarx
	@bin/enarx image build -o bin/image
	@bin/enarx reference make bin/image --link $(LINKED) -o "bin/references-$$(sha256sum bin/keep | cut -d' ' -f1)"
	@scripts/build enarx bin/enarx

.PHONY: hello
hello: build ## build Enarx and run a real WebAssembly program in a Keep
	@mkdir -p build
	@GOOS=wasip1 GOARCH=wasm go build -trimpath -o build/hello.wasm ./examples/hello-go
	bin/enarx run build/hello.wasm -- newcomer

.PHONY: deps
deps: ## install what the tests need (apt-get, as root), or say what is missing
	@scripts/deps

.PHONY: test
test: deps build ## run all tests: the quick ones first, then the rest
	@ENARX_REQUIRE_TOOLS=1 go run ./scripts/gotest

.PHONY: lint
lint: ## gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	@go vet ./...
	@go run $(STATICCHECK) ./...

.PHONY: verify-page
verify-page: ## build the verifier for WebAssembly: build/verify-page/ and build/enarx-verify.wasm
	@mkdir -p build/verify-page
	@GOOS=js GOARCH=wasm CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o build/verify-page/enarx-verify-js.wasm ./cmd/enarx-verify
	@GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o build/enarx-verify.wasm ./cmd/enarx-verify
	@cp "$$(go env GOROOT)/lib/wasm/wasm_exec.js" web/verify/index.html web/verify/page.css web/verify/page.js web/verify/worker.js build/verify-page/

# Needs some 400 MB of packages of other suites, so not part of make test.
.PHONY: qemu-parsers
qemu-parsers: ## hold the launch lines of snp and tdx against QEMU 10 and 11, and start Keeps on them
	@scripts/qemu-parsers
	@ENARX_QEMU_PARSERS=1 ENARX_REQUIRE_TOOLS=1 go test ./loader/qemu -count=1 -run='LaunchLines|NewerQEMU'

# Needs the vulnerability database, so the network: not part of make test.
.PHONY: vuln
vuln: ## look for known vulnerabilities in what we depend on
	@go run $(GOVULNCHECK) ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (20s)
	@go list -f '{{$$d := .Dir}}{{$$p := .ImportPath}}{{range .TestGoFiles}}{{$$p}} {{$$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$$p}} {{$$d}}/{{.}}{{"\n"}}{{end}}' ./... | \
	while read -r pkg file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "== $$pkg $$target"; \
			go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "$$pkg" || exit 1; \
		done; \
	done

.PHONY: tamper
tamper: ## flip every bit of all evidence of real hardware and its collateral
	@set -o pipefail; go test ./attest/attesttest/conformance -count=1 -timeout=4h -run=DamagedVectors -v -attest.everybit | grep -v '^=== '
	@set -o pipefail; go test ./attest/replay -count=1 -timeout=4h -run=AlteredBundles -v -replay.stride=1 | grep -v '^=== '
	@set -o pipefail; go test ./attest/appraisal -count=1 -timeout=4h -run=DamagedTPMQuotes -v -attest.everybit | grep -v '^=== '

.PHONY: mutations
mutations: ## compare verdicts on MUTATIONS (100000) of the vectors with other verifiers
	@set -o pipefail; go test ./attest/attesttest/conformance -count=1 -timeout=4h -run=OnMutations -v -attest.mutations=$(MUTATIONS) | grep -v '^=== '

.PHONY: bench
bench: build ## measure against named peers and print ratios
	@go run ./bench

.PHONY: tcb
tcb: ## print what the Keep is made of and compare with cmd/keep/tcb.txt
	@go run ./scripts/tcb

.PHONY: tcb-update
tcb-update: ## write cmd/keep/tcb.txt; say in the commit why the Keep grew
	@go run ./scripts/tcb -write

.PHONY: reproduce
reproduce: build ## build the Keep twice in two places and compare the bytes
	@scripts/reproduce bin/keep

.PHONY: man
man: build ## write the manual pages to build/man
	@mkdir -p build/man
	@bin/enarx gen-man build/man

.PHONY: completions
completions: build ## write shell completions to build/completions
	@mkdir -p build/completions
	@for s in bash zsh fish; do bin/enarx completion $$s >build/completions/enarx.$$s; done

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin build
