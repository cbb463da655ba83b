# Every target sets up what it needs: a .venv beside this file, with uv when it is on the PATH, else venv + pip.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NODES ?= 5
THRESHOLD ?=
PERIOD ?= 3s
ROUNDS ?= 0
SCHEME ?= pedersen-bls-chained
PYTEST_ARGS ?=

.PHONY: demo test bench lint docs-check proto constraints clean

demo: $(STAMP)  ## five nodes hold a key generation and publish randomness; ROUNDS=n ends by itself
	$(BIN)/drand demo --nodes $(NODES) $(if $(THRESHOLD),--threshold $(THRESHOLD)) --period $(PERIOD) --scheme $(SCHEME) --rounds $(ROUNDS)

test: $(STAMP)  ## everything that needs no outside program
	$(BIN)/pytest -n auto --dist loadgroup $(PYTEST_ARGS)

bench: $(STAMP)  ## the performance table; set DRAND_GO=/path/to/drand for Go beside ours
	$(BIN)/python -m bench

lint: $(STAMP)  ## ruff, mypy --strict, the layer test and the tidy test
	$(BIN)/ruff check src tests bench examples tools fuzz
	$(BIN)/ruff format --check src tests bench examples tools fuzz
	$(BIN)/mypy
	$(BIN)/pytest tests/tidy

docs-check: $(STAMP)  ## every command, flag, route and error is documented, and what the documents quote is there
	$(BIN)/pytest tests/tidy/test_docs.py tests/tidy/test_*_reference.py tests/tidy/test_run_a_node.py tests/tidy/test_deploy.py

proto: $(STAMP)  ## regenerate the protobuf code
	$(BIN)/python tools/generate_proto.py

constraints:  ## re-resolve the pinned versions (needs uv)
	uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--extra dev --extra fast pyproject.toml -o constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
		test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
		uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev,fast]'; \
	else \
		test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fast]'; \
	fi
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
