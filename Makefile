# Every target works on a fresh checkout: what it needs, it makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench soak proto lock help

help: ## what there is
	@grep -E '^[a-z.]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv: $(VENV)/.installed ## the environment, and nothing else
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv ## the main job on real traffic, in under 90 seconds
	$(BIN)/python -m examples.demo

test: .venv ## everything; says at the end what could not run here
	.ci/servers
	$(BIN)/python -m pytest -q $(PYTEST_ARGS)

check: .venv ## formatting, lint, types, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv ## every benchmark; each prints one JSON object as its last line
	.ci/servers
	$(BIN)/python -m benchmarks

soak: .venv ## long simulations and kill loops
	$(BIN)/python -m pytest -q -m soak -o addopts="--import-mode=importlib" tests

proto: .venv ## regenerate the code in analysis_service/v1
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. --grpc_python_out=. \
		proto/analysis_service/v1/analysis.proto

lock: ## pin every dependency with its hashes (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --all-extras --output-file requirements.lock pyproject.toml requirements.build.in
