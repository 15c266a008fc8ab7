# barproof: what a change needs. Every target makes what it needs in .venv; builds are always release builds.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python test-slow test-lowest fuzz fuzz-corpus soak mutants coverage miri lint format bench bench-kernels instructions docs wheel wheel-check generate clean

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= demo
# Of `make test`: processes that run Python tests side by side; each takes 1 to 2 GiB.
WORKERS   ?= 2
# One thread of OpenMP in each: threads that wait for a core spin, and beside other processes they cost minutes.
TEST_PYTHON = OMP_NUM_THREADS=1 $(BIN)/python

# Of `make fuzz`: one of those in fuzz/Cargo.toml, and how long.
TARGET    ?= indexed
SEED      ?= 0
MINUTES   ?= 10
SANITIZER ?= none

RUST_SOURCES   := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
BUILD_STAMP    := $(VENV)/.built
BASE_STAMP     := $(VENV)/.base
DEV_STAMP      := $(VENV)/.dev
PEERS_STAMP    := $(VENV)/.peers
APART_STAMP    := $(VENV)/.peers-apart

help:
	@echo "make demo       build, run the main job on a simulated market, write $(OUT)/report.html"
	@echo "make test       all that a change needs: formats, lints, types, Rust and Python tests"
	@echo "make test-slow  long runs: the engine against the twin, property tests with many cases"
	@echo "make test-lowest  Python tests with the lowest version of each dependency, in .venv-lowest"
	@echo "make fuzz       fuzz for MINUTES=10, with TARGET=indexed, account, live, labels, snapshot, intake, grammar, or of the"
	@echo "                Python edge bundles, results, candles; make fuzz-corpus keeps what it found"
	@echo "make soak       live bars and sweeps over and over for MINUTES=10: memory, handles and bits stay"
	@echo "make mutants    mutate FILES='...' of the core, and see what the tests notice"
	@echo "make coverage   lines that the tests of Python and Rust reach"
	@echo "make miri       the tests that touch unsafe code, interpreted; wants a nightly toolchain with miri"
	@echo "make lint       formats, lints and types alone"
	@echo "make format     rewrite sources in the house format"
	@echo "make bench      all benchmarks against peers (55 minutes; BENCH='--minutes 30' for fewer); records go to"
	@echo "                benches/record/, tables to docs/"
	@echo "make instructions  count instructions under callgrind and compare with benches/instructions.csv"
	@echo "make bench-kernels  kernels and engines by themselves, in Rust; reports in target/criterion/"
	@echo "make docs       the documentation as a site, in site/"
	@echo "make wheel      abi3 wheel in dist/"
	@echo "make wheel-check  wheel and source package, tried in new environments of every Python that is found"
	@echo "make generate   rewrite what derives from the tables of rules and metrics"
	@echo "make clean      remove what the other targets made"

# --- what must be there -------------------------------------------------------------------------------------------

define need_python
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "missing: $(PYTHON). Install Python >= 3.11, or name it: make $@ PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "too old: $$($(PYTHON) --version). Install Python >= 3.11, or name it: make $@ PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "missing: Python's venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
endef

define need_rust
	@command -v cargo >/dev/null 2>&1 || { echo "missing: cargo. Install a Rust toolchain >= 1.89: https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1 || { echo "missing: a C linker (cc). On Debian and Ubuntu: apt-get install gcc libc6-dev" >&2; exit 1; }
endef

define need_rust_checkers
	@cargo fmt --version >/dev/null 2>&1 || { echo "missing: rustfmt. Install it: rustup component add rustfmt" >&2; exit 1; }
	@cargo clippy --version >/dev/null 2>&1 || { echo "missing: clippy. Install it: rustup component add clippy" >&2; exit 1; }
endef

# --- environments -------------------------------------------------------------------------------------------------

$(BIN)/python:
	$(need_python)
	$(PYTHON) -m venv $(VENV)

$(BASE_STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" "maturin>=1.8,<2"
	@touch $@

$(BUILD_STAMP): $(RUST_SOURCES) pyproject.toml $(BASE_STAMP)
	$(need_rust)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet
	@touch $@

$(DEV_STAMP): pyproject.toml $(BUILD_STAMP)
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

# A bench runs with the peers that it finds: where the group as a whole cannot be had, each is tried by itself.
PEERS = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["bench"], sep="\n")'

$(PEERS_STAMP): pyproject.toml $(BUILD_STAMP)
	@if $(BIN)/python -m pip install --quiet --group bench; then touch $@; else \
	  $(PEERS) | while read -r peer; do \
	    $(BIN)/python -m pip install --quiet "$$peer" || echo "$$peer could not be installed and is left out" >&2; \
	  done; fi

# What pybroker needs contradicts what others need: it lives in an environment of its own, and is left out without it.
$(APART_STAMP): pyproject.toml | $(BIN)/python
	@if $(PYTHON) -m venv $(VENV)/peers && $(VENV)/peers/bin/python -m pip install --quiet --upgrade "pip>=25.1" && \
	  $(VENV)/peers/bin/python -m pip install --quiet --group bench-apart; then touch $@; else \
	  echo "pybroker could not be installed and is left out" >&2; fi

# --- jobs ---------------------------------------------------------------------------------------------------------

demo: $(BUILD_STAMP)
	$(BIN)/barproof demo --out $(OUT)

test: lint test-rust test-python

test-rust:
	$(need_rust)
	cargo test --workspace --quiet

test-python: $(BUILD_STAMP) $(DEV_STAMP)
	$(TEST_PYTHON) -m pytest -q -n $(WORKERS)

test-slow: $(BUILD_STAMP) $(DEV_STAMP)
	PROPTEST_CASES=20000 cargo test --workspace --release --quiet
	$(BIN)/python -m pytest -q -m slow --timeout 86400

# Left out: the site, whose tools are not ours, and tests that want tools of other people or an extra.
LOWEST := .venv-lowest

$(LOWEST)/.made: tests/lowest.txt | $(BIN)/python
	$(BIN)/python -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --requirement tests/lowest.txt
	@touch $@

test-lowest: $(BUILD_STAMP) $(LOWEST)/.made
	OMP_NUM_THREADS=1 PYTHONPATH=$(abspath python) $(LOWEST)/bin/python -m pytest -q -n $(WORKERS) -p no:cacheprovider --doctest-ignore-import-errors --ignore tests/test_site.py

# Fuzzing needs compiler flags that stable toolchains have, but hide.
CARGO_FUZZ := RUSTC_BOOTSTRAP=1 cargo fuzz
FUZZ_LIMITS := -rss_limit_mb=3000 -timeout=60 -print_final_stats=1 $(if $(wildcard fuzz/$(TARGET).dict),-dict=fuzz/$(TARGET).dict)

define need_fuzz
	@cargo fuzz --version >/dev/null 2>&1 || { echo "missing: cargo-fuzz. Install it: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@command -v c++ >/dev/null 2>&1 || { echo "missing: a C++ compiler (c++). On Debian and Ubuntu: apt-get install g++" >&2; exit 1; }
endef

fuzz/corpus/$(TARGET): | fuzz/corpus/$(TARGET).tar.gz
	mkdir -p $@
	tar -xzf fuzz/corpus/$(TARGET).tar.gz -C $@

# Those at the Python edge: a case is a number, there is no corpus.
PYTHON_FUZZ := bundles results candles

ifneq ($(filter $(TARGET),$(PYTHON_FUZZ)),)
fuzz: $(BUILD_STAMP) $(DEV_STAMP)
	$(BIN)/python -m fuzz.$(TARGET) --minutes $(MINUTES) --seed $(SEED)
else
fuzz: | fuzz/corpus/$(TARGET)
	$(need_rust)
	$(need_fuzz)
	$(CARGO_FUZZ) run --fuzz-dir fuzz --sanitizer $(SANITIZER) $(TARGET) -- -max_total_time=$$(( $(MINUTES) * 60 )) -max_len=8192 $(FUZZ_LIMITS)
endif

fuzz-corpus: | fuzz/corpus/$(TARGET)
	$(need_rust)
	$(need_fuzz)
	$(CARGO_FUZZ) cmin --fuzz-dir fuzz --sanitizer $(SANITIZER) $(TARGET)
	tar -czf fuzz/corpus/$(TARGET).tar.gz --sort=name --owner=0 --group=0 --mtime=@0 -C fuzz/corpus/$(TARGET) .

soak: $(BUILD_STAMP) $(DEV_STAMP)
	$(BIN)/python tools/soak.py --minutes $(MINUTES)

# All of FILES, globs below the repository, in one build; goes on where it stopped, until target/mutants is removed.
FILES ?= rust/core/src/backtest/metrics.rs
mutants: $(BUILD_STAMP) $(DEV_STAMP)
	$(need_rust)
	@cargo mutants --version >/dev/null 2>&1 || { echo "missing: cargo-mutants. Install it: cargo install cargo-mutants --locked" >&2; exit 1; }
	$(BIN)/python tools/mutants.py $(foreach file,$(FILES),--file '$(file)') --out target/mutants --rust

coverage: $(BUILD_STAMP) $(DEV_STAMP)
	@cargo llvm-cov --version >/dev/null 2>&1 || { echo "missing: cargo-llvm-cov. Install it: rustup component add llvm-tools && cargo install cargo-llvm-cov --locked" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet pytest-cov
	$(TEST_PYTHON) -m pytest -q -n $(WORKERS) --cov=barproof --cov-report=term:skip-covered tests
	cargo llvm-cov --package barproof-core --summary-only

# Those with unsafe blocks; the whole suite would take days.
MIRI ?= simd features::wide
miri:
	@cargo +nightly miri --version >/dev/null 2>&1 || { echo "missing: miri. Install it: rustup component add --toolchain nightly miri rust-src" >&2; exit 1; }
	MIRIFLAGS="-Zmiri-disable-isolation" cargo +nightly miri test --package barproof-core --lib -- $(MIRI)

lint: $(BUILD_STAMP) $(DEV_STAMP)
	$(need_rust_checkers)
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo clippy --package barproof-core --all-targets --no-default-features --quiet -- -D warnings
	$(BIN)/python tools/generate.py --check
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest barproof._core --ignore-disjoint-bases

format: $(DEV_STAMP)
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

generate: $(BUILD_STAMP)
	$(BIN)/python tools/generate.py

bench-kernels:
	$(need_rust)
	cargo bench -p barproof-core

# Options of `make bench`, such as BENCH='--skip live labels'.
BENCH ?=
bench: $(BUILD_STAMP) $(PEERS_STAMP) $(APART_STAMP)
	failed=0; $(BIN)/python -m benches.everything $(BENCH) || failed=$$?; $(BIN)/python -m benches.table; exit $$failed

instructions: | $(BIN)/python
	$(need_rust)
	@command -v valgrind >/dev/null 2>&1 || { echo "missing: valgrind. On Debian and Ubuntu: apt-get install valgrind" >&2; exit 1; }
	$(BIN)/python -m benches.instructions $(if $(UPDATE),--update)

# What mkdocs says of its own future is nobody's business here.
docs: $(DEV_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "written to site/; read it with: $(BIN)/python -m http.server --directory site"

wheel: $(BASE_STAMP)
	$(need_rust)
	$(BIN)/maturin build --release --out dist

# The glibc that a wheel of Linux is linked against; elsewhere, and with MANYLINUX= , that of this machine.
MANYLINUX ?= $(if $(filter Linux,$(shell uname -s)),2_17)
wheel-check: $(BASE_STAMP)
	$(need_rust)
	$(if $(MANYLINUX),$(BIN)/python -m pip install --quiet ziglang auditwheel)
	$(BIN)/python tools/packages.py --out dist $(if $(MANYLINUX),--manylinux $(MANYLINUX))

clean:
	rm -rf $(VENV) $(LOWEST) target fuzz/target fuzz/corpus/*/ dist site $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f python/barproof/_core*.so
	find python tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
