# Everything runs in .venv, which the first target that needs it makes from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help install demo dev test test-slow test-browser faults soak test-engines check types supply supply-lock docs format reference lock deploy-lock bench bench-peers peers-lock fuzz fuzz-lock clean

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY)  ## Make .venv and install the locked packages into it

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Weathervane needs Python 3.11 to 3.13; name one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: install  ## Two made-up shops, 90 days, no credentials: see it work
	$(BIN)/weathervane demo

dev: install  ## Open the Dagster UI on http://127.0.0.1:3000, with the sandbox beside it
	$(BIN)/weathervane dev

test: install  ## Run the tests, a file at a time on each core
	$(BIN)/python -m pytest -m "not slow and not faults and not browser" --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: install  ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-browser: install  ## Click through the UI in Debian's Chromium; pictures go to build/screenshots
	$(BIN)/python -m pytest tests/browser -m "$(or $(MARKS),browser)"

test-engines: install  ## Run the end-to-end tests on PostgreSQL and a S3-compatible store (needs Debian's postgresql)
	$(BIN)/python -m pytest tests/assets -m "not slow and not faults and not browser" --engine postgres-s3

faults: install  ## Run the long form of the fault suite (docs/reliability.md)
	$(BIN)/python -m pytest -m "faults and not soak" -rP --numprocesses 2 --dist loadfile --no-loadscope-reorder

soak: install  ## Half an hour of nights back to back with one request in twenty spoiled (WEATHERVANE_SOAK_MINUTES)
	$(BIN)/python -m pytest -m soak -s

check: install  ## Lint, types, supply, docs and tests: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) --jobs 2 types supply docs
	$(MAKE) test

types: install  ## Check the types
	$(BIN)/mypy

docs: install  ## Build the docs site into build/docs; a warning or a broken link fails
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env docs build/docs

supply: install .venv-supply/.ready  ## Bill of materials (build/sbom.json), licences, known vulnerabilities
	$(BIN)/python .ci/supply.py

supply-lock:  ## Resolve .ci/supply.lock again (needs uv)
	uv pip compile .ci/supply.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make supply-lock" --output-file .ci/supply.lock

format: install  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: install  ## Generate the pages of docs/ that come from code
	$(BIN)/python -m weathervane_assets.reference

lock: install  ## Resolve requirements.lock again (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-strip-extras --custom-compile-command "make lock" --output-file requirements.lock

deploy-lock: install  ## Resolve the locks of the container image again (needs uv)
	uv pip compile pyproject.toml --extra postgres --extra kubernetes --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-strip-extras --custom-compile-command "make deploy-lock" \
	  --constraint requirements.lock --output-file deploy/requirements.lock
	uv pip compile deploy/build.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make deploy-lock" --constraint requirements.lock --output-file deploy/build.lock

bench: install  ## Run the benchmarks in bench/
	$(BIN)/python -m bench

bench-peers: install .venv-peers/.ready  ## Ours beside dlt, plain requests and a bare loop; ARGS="--latency 0.3 --write"
	$(BIN)/python -m bench.peers $(ARGS)

peers-lock:  ## Resolve bench/peers/requirements.lock again (needs uv)
	uv pip compile bench/peers/requirements.in --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make peers-lock" --output-file bench/peers/requirements.lock

fuzz: install .venv-fuzz/.ready  ## Ten minutes of coverage-guided fuzzing of the readers of vendors' answers; ARGS="-max_total_time=60"
	@mkdir -p build
	PYTHONPATH="$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])'):." \
	  .venv-fuzz/bin/python -m bench.fuzz -max_total_time=600 -artifact_prefix=build/ $(ARGS)

fuzz-lock:  ## Resolve bench/fuzz/requirements.lock again (needs uv)
	uv pip compile bench/fuzz/requirements.in --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make fuzz-lock" --output-file bench/fuzz/requirements.lock

.venv-peers/.ready: bench/peers/requirements.lock
.venv-fuzz/.ready: bench/fuzz/requirements.lock
.venv-supply/.ready: .ci/supply.lock
.venv-peers/.ready .venv-fuzz/.ready .venv-supply/.ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@

clean:  ## Remove .venv, caches and build/ (tenants.toml and storage/, which is lake, tokens and history, stay)
	rm -rf .venv .venv-peers .venv-supply .venv-fuzz .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
