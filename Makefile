# Two commands: `make demo` scans the examples, `make test` checks everything.
# Each sets up all it needs on a machine that has Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv does not read pip's own list of local wheel folders
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
UV := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv

.PHONY: demo test unit lint lock examples clean
.DELETE_ON_ERROR:

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "unmask needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.lock)"

$(VENV)/.base: $(BIN)/uv pyproject.toml requirements.lock
	$(UV) pip install --quiet --compile-bytecode --constraint requirements.lock --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(UV) pip install --quiet --compile-bytecode --constraint requirements.lock --editable '.[data,landmarks,train,serve,postgresql,dev]'
	@touch $@

demo: $(VENV)/.base
	$(BIN)/unmask scan examples --report out/demo.html --out out/demo.jsonl --overwrite --format table || test $$? -eq 3
	@echo "Report: out/demo.html   Results: out/demo.jsonl"

test: lint unit

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks examples tools
	$(BIN)/ruff format --check src tests benchmarks examples tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/render_numbers.py --check

unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

lock: $(BIN)/uv
	printf 'uv\n' | $(UV) pip compile --quiet --universal --python-version 3.11 --all-extras \
	  --no-annotate --no-header \
	  pyproject.toml - --output-file requirements.lock

examples: $(VENV)/.dev
	@test -n "$(LONDON)" -a -n "$(CONGRESS)" \
	  || { echo "Say where the pictures are: make examples LONDON=folder CONGRESS=folder"; exit 2; }
	$(BIN)/python examples/make_examples.py $(LONDON) $(CONGRESS)

clean:
	rm -rf $(VENV) out build dist
