# `make help` lists the targets. Each sets up what it needs first; the second time that is free.

VENV   := .venv
STAMP  := $(VENV)/.isoward-dev
FUZZ   := $(VENV)/.isoward-fuzz
RUN    := $(VENV)/bin
# Any Python from 3.11 on will do; PYTHON=... chooses another.
PYTHON ?= $(shell tools/find-python)
# Two workers by default; tests that share a fixture's registry stay in one.
JOBS   ?= 2
# Executions of `make fuzz`, of all targets together.
RUNS   ?= 1200000
PYTEST := $(RUN)/python -m pytest
# The longest modules first, so that no worker is left with one of them at the end.
TESTS  := tests/integration tests/contract tests/architecture tests/unit
# Of the cases of these `make test` has some, and `make e2e` all.
WHOLE  := tests/integration/hostile/test_bit_flips.py tests/integration/hostile/test_corpus.py \
	tests/integration/journey/test_kill.py tests/unit/bundle/trust/metadata/test_odd_values.py \
	tests/unit/bundle/trust/site/test_power_cut.py

# Tests start our programs hundreds of times, which take a third longer if each compiles all it loads.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check e2e fuzz bench clean setup system generate lock-requirements

help:  ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: setup  ## Show the whole journey, narrated, in a few minutes
	$(RUN)/python -m demo

test: setup  ## Run the unit, contract, architecture and integration tests
	$(PYTEST) -n $(JOBS) --dist loadscope --no-loadscope-reorder $(TESTS)

check: $(STAMP)  ## Lint, check the format, check the types, keep the architecture
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(PYTEST) -q tests/architecture

e2e: setup  ## Run the end-to-end tests on a lab node (root, Debian)
	$(PYTEST) --whole tests/e2e $(WHOLE)

fuzz: $(FUZZ)  ## Fuzz every parser of what comes from outside (RUNS=...)
	$(RUN)/python -m fuzz --runs $(RUNS) --jobs $(JOBS)

bench: setup  ## Measure, and write docs/BENCHMARKS.md
	$(RUN)/python -m bench --write

generate: $(STAMP)  ## Write docs/EXIT_CODES.md and manifests/schema from the model
	$(RUN)/python -m tools.generate

lock-requirements: $(STAMP)  ## Pin the dependencies anew (ARGS=--upgrade for newer ones)
	UV=$(RUN)/uv tools/lock-requirements $(ARGS)

clean:  ## Remove all that was made, the environment included
	rm -rf $(VENV) .build build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: system $(STAMP)

# On Debian as root this installs what is missing; elsewhere it says what would be needed.
system:
	@tools/system-packages

$(STAMP): requirements/dev.txt pyproject.toml
	@tools/system-packages --python
	@test -n "$(PYTHON)" || { echo "Isoward needs Python 3.11 or newer." >&2; exit 1; }
	@tools/make-environment $(VENV) $(PYTHON)
	@touch $@

# Beside the rest and only here: it has wheels for some Pythons alone.
$(FUZZ): requirements/fuzz.txt $(STAMP)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/fuzz.txt
	$(RUN)/python -m pip check --disable-pip-version-check
	@touch $@
