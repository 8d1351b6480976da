# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 2
ARGS    ?=

BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart test check benchmark benchmark-speed benchmark-memory benchmark-quality format clean

help:
	@echo "make quickstart   install into $(VENV) and train configs/quickstart.yaml"
	@echo "make test         lint, types, import contracts and tests; SLOW=1 adds the slow tests, ARGS='-k word' picks some"
	@echo "make check        lint, types and import contracts alone"
	@echo "make benchmark    simulate whether the scores are honest; writes benchmarks/honesty.md"
	@echo "make benchmark-speed   measure the speed beside plain scikit-learn; writes benchmarks/speed.md"
	@echo "make benchmark-memory  measure the memory of large tables beside a plain script; writes benchmarks/memory.md"
	@echo "make benchmark-quality  compare predictions beside FLAML and AutoGluon; writes benchmarks/quality.md"
	@echo "make format       put the code in the one format"
	@echo "make clean        remove $(VENV) and the tools' caches; runs are kept"
	@echo "PYTHON=python3.12 chooses the interpreter of a new $(VENV)"

quickstart: $(VENV)/.installed
	$(BIN)/mlwf train configs/quickstart.yaml

test: check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(if $(SLOW),-m "") $(ARGS)

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: $(VENV)/.installed
	$(BIN)/python -m benchmarks.honesty

benchmark-speed: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.speed

benchmark-memory: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.memory $(ARGS)

benchmark-quality: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.quality $(ARGS)

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "mlwf needs Python 3.11 or newer, and $(PYTHON) is %d.%d; try: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

# The stamps keep a second call from installing again; the interpreter is an order-only prerequisite, since its date is
# that of the system's file behind the link.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing mlwf into $(VENV): one or two minutes, once"
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing mlwf and its test tools into $(VENV): one or two minutes, once"
	$(INSTALL) -e '.[test]'
	@touch $(VENV)/.installed $@
