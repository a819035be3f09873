# Two words do all the set-up on a fresh machine: `make demo` and `make test`. `make` alone lists the rest.
# Before a commit: `make test`, eight minutes on two cores. What starts servers, browsers or clusters, converts networks, trains
# for seconds or kills processes is `make test-all`; continuous integration runs both.

PYTHON ?= python3
# Three workers for two cores, since one often waits for a server's start; a file's tests stay together, so that they share
# what they built. Where a worker dies all end: the tests that it had left would be waited for without end.
PYTEST_ARGS ?= -n 3 --dist loadfile --max-worker-restart 0
UI_PORT ?= 5000
VENV := .venv
PEERS := .peers
PEERS_TORCH := .peers-torch
BIN := $(VENV)/bin

# Nothing phones home.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install need-ffmpeg need-chromium demo test test-all size wheel lint types bench long faults ui peers peers-torch golden golden-torch lock clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## set up .venv with the locked packages, and ffmpeg

demo: install ## install, then run the whole job on a small made-up dataset
	$(BIN)/python -m flows.quickstart

test: lint types ## install, then lint, check types and run the tests of minutes (PYTEST_ARGS="-k word", "--order-seed 7")
	$(BIN)/python -m pytest -m "not slow and not long" $(PYTEST_ARGS)

test-all: install need-chromium ## the tests that make test leaves out: servers, browsers, clusters, trainings, kills
	$(BIN)/python -m pytest -m "slow and not long" $(PYTEST_ARGS)

size: install ## lines and modules of each room, exceptions from the linter, circles
	@$(BIN)/python tests/size.py

wheel: install ## build the wheel and the sdist into dist/, and check what is in them, the base, and the quickstart with [all] (minutes)
	rm -rf build dist
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python
	$(BIN)/python -m tests.wheel_contents dist
	STEMWORKS_DIST=dist $(BIN)/python -m pytest tests/test_lean_installation.py

lint: install ## ruff: rules and format; import-linter: layers, rooms and extras
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install ## mypy
	$(BIN)/mypy

bench: install ## measure speed and memory (tests/bench; beside Spleeter after `make peers`, Open-Unmix with STEMWORKS_UMX=its/python)
	STEMWORKS_BENCH=full $(BIN)/python -m pytest tests/bench -s --timeout 0

long: install ## run the tests that make test leaves out for the time they take
	$(BIN)/python -m pytest -m long

faults: install ## kill data stage and training, fill the disk, damage files: they must mend (tests/faults)
	STEMWORKS_KILLS=12 $(BIN)/python -m pytest tests/faults -s --timeout 1800

ui: install ## browse the runs in MLflow on http://127.0.0.1:5000 (UI_PORT=N)
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port $(UI_PORT) --workers 1 \
		--allowed-hosts '127.0.0.1:$(UI_PORT),localhost:$(UI_PORT)' --x-frame-options DENY \
		--cors-allowed-origins 'http://127.0.0.1:$(UI_PORT),http://localhost:$(UI_PORT)' \
		--backend-store-uri sqlite:///mlflow.db

peers: $(PEERS)/.installed ## set up .peers with the real Spleeter, for the tests marked `peers`

peers-torch: $(PEERS_TORCH)/.installed ## set up .peers-torch with PyTorch and its SCNet, for the tests marked `peers_torch`

golden: peers ## make the golden cases of tests/golden anew with the real Spleeter
	$(PEERS)/bin/python tests/golden/make_golden.py

golden-torch: peers-torch ## make SCNet's golden cases of tests/golden anew with its PyTorch code
	$(PEERS_TORCH)/bin/python tests/golden/make_scnet_golden.py

lock: install ## resolve pyproject.toml anew into requirements.lock
	@$(uv) pip compile pyproject.toml --upgrade --extra all --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-package uv --no-header --no-emit-index-url --no-emit-find-links --quiet -o requirements.lock

clean: ## remove caches and build leftovers (not .venv, data, runs or releases)
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find conf flows sepcore tasks tests -name __pycache__ -prune -exec rm -rf {} +

# How a missing system package is got: $(call get_package,its name,what needs it).
define get_package
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
elif command -v brew >/dev/null; then brew install $(1); \
else echo "$(2) is missing: install it (Debian, Ubuntu: sudo apt-get install $(1)) and run make again" >&2; exit 1; fi
endef

need-ffmpeg:
	@if ! { command -v "$${FFMPEG_PATH:-ffmpeg}" && command -v ffprobe; } >/dev/null; then $(call get_package,ffmpeg,ffmpeg); fi

# Only the tests of the pages need a browser: without one they are skipped, and the others run.
need-chromium:
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		( $(call get_package,chromium,Chromium) ) || echo "Chromium cannot be installed: the tests of the pages are skipped" >&2; \
	else echo "Chromium is missing: the tests of the pages are skipped (Debian: sudo apt-get install chromium)" >&2; fi

# uv does not read pip's configuration: a mirror set there is handed on.
define uv
index="$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null)}}}"; \
if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; $(BIN)/uv
endef

# uv takes seconds where pip takes minutes; where it has no wheel or does not get through, pip does the same, with the
# same hashes.
$(VENV)/.installed: requirements.lock pyproject.toml | need-ffmpeg
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { echo \
		"$(PYTHON) is not Python 3.11, 3.12 or 3.13; name one that is: make install PYTHON=/path/to/python3.12" >&2; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(call get_package,python$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv,Python's venv); fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	@$(BIN)/python -m pip install --quiet --only-binary :all: uv || true
	@# Compiled here, once: where nothing may be written later, each process would compile TensorFlow anew, for 10 s and more.
	@$(uv) pip install --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock \
		|| { echo "uv did not get through: pip does it, in minutes" >&2; \
			$(BIN)/python -m pip install --require-hashes -r requirements.lock; }
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Spleeter 2.4.2 needs Python < 3.12, and with it TensorFlow 2.12: hence an environment of its own.
$(PEERS)/.installed: | install
	@$(BIN)/uv venv --quiet --clear --python 3.11 $(PEERS) || { echo \
		"Spleeter needs a Python 3.11 on the PATH: install one and run make peers again" >&2; exit 1; }
	@$(uv) pip install --python $(PEERS)/bin/python spleeter==2.4.2
	@touch $@

# PyTorch's build is that of the index which pip uses here: one without CUDA is enough. Of msst only the network is
# used, which needs none of the packages that msst asks for.
$(PEERS_TORCH)/.installed: | install
	@$(BIN)/python -m venv --clear $(PEERS_TORCH)
	@$(PEERS_TORCH)/bin/python -m pip install --quiet torch==2.13.0 numpy
	@$(PEERS_TORCH)/bin/python -m pip install --quiet --no-deps msst==0.1.0
	@touch $@
