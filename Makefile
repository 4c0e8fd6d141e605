# What the machine lacks is compiled, at pinned versions, into a cache outside
# the checkout: hack/tools.sh, hack/control-plane.sh.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMG ?= kong-jwt-operator:$(VERSION)

CHART := charts/kong-jwt-operator

# Specs of test/e2e with the label "full" run in e2e-full only.
E2E_LABELS ?= $(if $(INGRESS),ingress && )!full
E2E_TIMEOUT ?= 40m
# Specs mostly wait for Kong's timers, so more of them run at once than there are cores.
E2E_PROCS ?= $(if $(INGRESS),1,6)
# The controllers' specs wait as well. Each process has an API server of its own.
CONTROLLERS_PROCS ?= 4
# Further flags of `go test`, and of ginkgo for the controllers.
TEST_FLAGS ?=
CONTROLLERS_FLAGS ?=

tool = $$(hack/tools.sh $(1))
# Assignments of their own: a command's environment hides that these failed.
assets = KUBEBUILDER_ASSETS=$$(hack/control-plane.sh assets); export KUBEBUILDER_ASSETS
all_in_one = KJO_CONTROLPLANE=$$(hack/control-plane.sh controlplane); export KJO_CONTROLPLANE
control_plane = $(assets); $(all_in_one)
# The race detector needs a C compiler; without one the tests run without it.
race := $(if $(shell command -v cc),-race)
with_race = CGO_ENABLED=$(if $(race),1,0)
ginkgo = $(call tool,ginkgo) $(if $(MAKE_TERMOUT),,--no-color)
go_build = CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)"

##@ See it work

.PHONY: demo
demo: build ## The tutorial on a local control plane and a simulated Kong; KEEP=1 leaves all running
	@mkdir -p bin && go build -o bin/demo ./cmd/demo
	@$(all_in_one); KJO_MANAGER="$(CURDIR)/bin/manager" KEEP="$(KEEP)" bin/demo

.PHONY: run
run: ## Run the operator against the current kube context
	go run ./cmd/manager $(ARGS)

##@ Test

.PHONY: test
test: ## Everything: generated files, lint, unit, CRDs, controllers, contract, e2e; a summary at the end
	@hack/test.sh

.PHONY: unit
unit: ## Tests that need no API server: engine, back ends, JWKS and probes with the race detector
	@plain=$$(hack/packages.sh unit); concurrent=$$(hack/packages.sh race); set -x; \
	go test $$plain $(TEST_FLAGS); \
	$(with_race) go test $(race) $$concurrent $(TEST_FLAGS)

.PHONY: fuzz
fuzz: ## Send at random what foreign bytes may be to all that parses them, FUZZTIME (1m) each; `make unit` runs the seeds
	@grep -rno --include=*_test.go '^func Fuzz[A-Za-z]*' internal | while IFS=: read -r file _ target; do \
	  (set -x; go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$${target#func }$$" -fuzztime "$${FUZZTIME:-1m}") || exit; done

.PHONY: fuzz-quick
fuzz-quick: ## A thousand inputs of each
	@FUZZTIME=1000x $(MAKE) fuzz

.PHONY: test-crds
test-crds: ## Schemas, CEL rules and samples on a real kube-apiserver
	@packages=$$(hack/packages.sh crds); $(assets); set -x; \
	go test -count=1 $$packages $(TEST_FLAGS)

.PHONY: test-controllers
test-controllers: ## Controllers, and all else that tests on a real kube-apiserver, with the race detector
	@packages=$$(hack/packages.sh controllers); $(control_plane); set -x; \
	$(with_race) $(ginkgo) $(race) -procs=$(CONTROLLERS_PROCS) -timeout=20m $(CONTROLLERS_FLAGS) ./controllers; \
	$(with_race) go test $(race) -count=1 $$packages $(TEST_FLAGS)

.PHONY: test-chart
test-chart: build ## The chart by a real helm, kustomize, GitOps, alerts, a release, every command of the docs, on the local control plane
	@go build -o bin/demo ./cmd/demo
	@$(control_plane); export KJO_MANAGER="$(CURDIR)/bin/manager" KJO_PLUGIN="$(CURDIR)/bin/kubectl-kongjwt" KJO_DEMO="$(CURDIR)/bin/demo" \
	  KJO_HELM="$(call tool,helm)" KJO_KUSTOMIZE="$(call tool,kustomize)" KJO_KUBECTL="$(call tool,kubectl)" KJO_PROMETHEUS="$$(hack/prometheus.sh)"; set -x; \
	go test -count=1 -timeout 20m ./test/chart/... $(TEST_FLAGS)

.PHONY: test-image
test-image: build ## The image's last stage by buildah, and what is in it; skipped without buildah
	@hack/image-test.sh

.PHONY: contract
contract: ## Replay Kong's recorded answers; KONG_ADMIN_URL and KONG_PROXY_URL name a real Kong
	@go run ./test/contract

.PHONY: e2e
e2e: build ## End to end, quick part, on a simulated Kong of KONG_VERSION; KONG_ADMIN_URL and KONG_PROXY_URL name a real one; INGRESS=1: behind an ingress controller, a stand-in unless KONG_INGRESS_KUBECONFIG, _CLASS and _PROXY_URLS name a real one
	@go build -o bin/kongsim ./cmd/kongsim
	@$(all_in_one); export KJO_MANAGER="$(CURDIR)/bin/manager" KJO_PLUGIN="$(CURDIR)/bin/kubectl-kongjwt" KJO_KONGSIM="$(CURDIR)/bin/kongsim"; set -x; \
	$(ginkgo) -procs=$(E2E_PROCS) -timeout=$(E2E_TIMEOUT) -label-filter='$(E2E_LABELS)' $(E2E_FLAGS) ./test/e2e

.PHONY: e2e-full
e2e-full: ## End to end, everything
	@$(MAKE) e2e E2E_LABELS=$(if $(INGRESS),ingress) E2E_TIMEOUT=120m

.PHONY: bench
bench: build ## The operator at scale, against bare clients; N, CONCURRENCY, KONG_ADMIN_URL; GROWTH="1000 3000 10000" for a table of sizes; the full size writes docs/performance.md
	@go build -o bin/kongsim ./cmd/kongsim && go build -o bin/bench ./test/bench
	@$(all_in_one); export KJO_MANAGER="$(CURDIR)/bin/manager" KJO_KONGSIM="$(CURDIR)/bin/kongsim"; \
	N="$(N)" CONCURRENCY="$(CONCURRENCY)" GROWTH="$(GROWTH)" WRITE="$(if $(N),,docs/performance.md)" bin/bench

.PHONY: pictures
pictures: build ## Draw who may call what, and the dashboard as a real Prometheus fills it in five minutes of the operator's life: docs/pictures
	@go build -o bin/pictures ./test/pictures && mkdir -p docs/pictures
	@$(all_in_one); export KJO_MANAGER="$(CURDIR)/bin/manager" KJO_PLUGIN="$(CURDIR)/bin/kubectl-kongjwt" KJO_PROMETHEUS="$$(hack/prometheus.sh)"; \
	bin/pictures && cd hack/pictures && go run . dashboard < ../../bin/pictured/dashboard.json > ../../docs/pictures/dashboard.svg && \
	go run . graph < ../../bin/pictured/graph.dot > ../../docs/pictures/graph.svg

.PHONY: bench-claims
bench-claims: ## What claims cost: in the tests' Lua, and on a Kong (KONG_ADMIN_URL, KONG_PROXY_URL) against a route without
	go test ./internal/claims -run '^$$' -bench 'Program|Hostile'
	@$(MAKE) e2e E2E_LABELS=bench-claims E2E_PROCS=1

.PHONY: bench-quick
bench-quick: build ## The counts of bench, with 500 consumers
	@go build -o bin/kongsim ./cmd/kongsim && go build -o bin/bench ./test/bench
	@$(all_in_one); export KJO_MANAGER="$(CURDIR)/bin/manager" KJO_KONGSIM="$(CURDIR)/bin/kongsim"; \
	KONG_ADMIN_URL= QUICK=1 N=500 bin/bench

.PHONY: chaos
chaos: build ## Hundreds of resources change while everything fails at random; DURATION (5m) and SEED; the full length writes docs/reliability.md
	@go build -o bin/chaos ./test/chaos
	@$(all_in_one); export KJO_MANAGER="$(CURDIR)/bin/manager"; \
	DURATION="$(DURATION)" SEED="$(SEED)" WRITE="$(if $(DURATION),,docs/reliability.md)" bin/chaos

.PHONY: chaos-quick
chaos-quick: ## A minute of chaos
	@$(MAKE) chaos DURATION=30s

# A package, and after plus signs those whose tests are tried on what its own tests do not notice.
MUTANTS ?= internal/engine/observed internal/engine/drift internal/engine/plan+internal/engine \
  internal/engine/propagation+internal/engine internal/engine/arbiter+internal/engine internal/credential internal/desired internal/jwks \
  internal/claims

.PHONY: mutants
mutants: ## Small changes of the code that no test notices; MUTANTS are packages, TIME (10m) is for all together
	@go run ./hack/mutants -time $(or $(TIME),10m) $(MUTANTS)

.PHONY: lint
lint: ## golangci-lint, with kube-api-linter in it, and actionlint
	$(call tool,golangci-lint) run ./...
	$(call tool,actionlint)

.PHONY: verify
verify: ## Fail where a generated file is not what `make generate docs` writes
	@hack/verify.sh

##@ Develop

.PHONY: build
build: ## The operator, bin/manager, and the kubectl plugin, bin/kubectl-kongjwt
	@mkdir -p bin
	$(go_build) -o bin/manager ./cmd/manager
	$(go_build) -o bin/kubectl-kongjwt ./cmd/kubectl-kongjwt

.PHONY: generate
generate: ## Deep copies, CRDs and RBAC from the Go sources
	rm -rf config/crd/bases
	$(call tool,controller-gen) object paths=./api/... crd paths=./api/... output:crd:dir=config/crd/bases
	$(call tool,controller-gen) rbac:roleName=manager-role $(foreach d,$(wildcard ./controllers ./cmd),paths=$(d)/...) output:rbac:dir=config/rbac
	@$(MAKE) chart

.PHONY: chart
chart: ## What is generated of the chart (CRDs, schema, README), and of config/ from the chart
	rm -rf $(CHART)/files/crds && mkdir -p $(CHART)/files/crds && cp config/crd/bases/*.yaml $(CHART)/files/crds/
	go run ./hack/chartdocs $(CHART)
	hack/kustomize-bases.sh

.PHONY: docs
docs: ## The reference, docs/reference, and the page of all messages, from the sources
	@mkdir -p docs/reference
	$(call tool,crd-ref-docs) --log-level=ERROR --source-path=api --config=hack/crd-ref-docs/config.yaml \
	  --templates-dir=hack/crd-ref-docs --renderer=markdown --output-path=docs/reference/api.md
	go run ./hack/reference docs/reference internal/cli/status/zz_generated.remedies.go
	go test -count=1 ./test/messages -update

.PHONY: fmt
fmt: ## Format the Go code
	$(call tool,golangci-lint) fmt ./...

.PHONY: tools
tools: ## Install the pinned development tools into the cache
	@hack/tools.sh all

.PHONY: control-plane
control-plane: ## Get etcd, kube-apiserver and the all-in-one control plane into the cache
	@hack/control-plane.sh assets
	@hack/control-plane.sh controlplane

.PHONY: image
image: ## The container image
	docker build --build-arg VERSION=$(VERSION) -t $(IMG) .

.PHONY: dist
dist: ## What a release holds besides image and chart, in dist/
	@hack/dist.sh $(VERSION)

.PHONY: clean
clean: ## Remove what was built in the checkout; the cache stays
	rm -rf bin dist

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
