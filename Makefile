.PHONY: help build test race lint fuzz sim mutants matrix soak bench bench-smoke demo ci
SEEDS ?= 200
DURATION ?= 30m
.DEFAULT_GOAL := help

help: ## print the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

build: ## bin/triad
	CGO_ENABLED=0 go build -o bin/triad ./cmd/triad

test: ## every test of this module
	go test ./...

race: ## the same under the race detector
	.ci/run race

lint: ## vet, gofmt, staticcheck, and no trace of a machine
	.ci/run vet format staticcheck paths

fuzz: ## every fuzz target for some seconds
	.ci/run fuzz

sim: ## SEEDS=200 seeds of every simulated world, and of whole nodes in virtual time
	CGO_ENABLED=0 go test ./internal/sim -run Seeds -v -timeout 0 -seeds=$(SEEDS)
	CGO_ENABLED=0 go test ./internal/sim/shell -run Seeds -v -timeout 0 -seeds=$(SEEDS)

mutants: ## every rule broken once: a test must go red for each
	CGO_ENABLED=0 go run ./internal/sim/mutants -write docs/testing.md

matrix: ## every crash and every failed call of log, store, home and snapshots
	TRIAD_MATRIX=full go test ./internal/wal ./internal/store ./internal/home ./singleleader

soak: ## break real processes for DURATION (30m), by SEED
	go run ./internal/nemesis/soak -duration $(DURATION) $(if $(SEED),-seed $(SEED))

bench: ## what a synchronous commit costs, against the yardstick
	CGO_ENABLED=0 go run ./benchmarks/commit

bench-smoke: ## the harness over the topologies: what promises forbid is not seen, what they allow is
	CGO_ENABLED=0 go run ./cmd/triad bench smoke --out bin/bench-smoke

demo: ## a cluster on this machine
	go run ./cmd/triad demo

ci: ## everything that must hold before a change is taken
	.ci/run
