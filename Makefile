# `make lab` opens the laboratory, `make test` checks everything. Python 3.10-3.13 is all they need:
# .venv is made on the first call and brought up to date when pyproject.toml changes.
.PHONY: help lab test soak notebooks screenshot bench
BIN := .venv/bin

# Small tensors: one thread is as fast as two, and leaves the other cores to the browser and the notebooks.
test soak notebooks screenshot: export OMP_NUM_THREADS ?= 1

help:
	@echo "make lab         open the laboratory in a browser"
	@echo "make test        lint, tests and notebooks"
	@echo "make soak        the browser on a loaded machine, again and again: no screen is ever blank"
	@echo "make notebooks   build notebooks/*.ipynb from notebooks/source/*.py"
	@echo "make screenshot  take docs/dashboard.png anew"
	@echo "make bench       the benchmarks behind the figures of README.md"

lab: .venv/.piwsl-lab-lab
	@$(BIN)/piwsl-lab lab

test: .venv/.piwsl-lab-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest tests/
	$(BIN)/pytest --nbval notebooks/

# One scene, and a table of all trials: make soak ARGS='-k "f5 and deck" --soak-csv soak.csv'
soak: export PIWSL_LAB_REQUIRE_BROWSER ?= 1
soak: .venv/.piwsl-lab-test
	$(BIN)/pytest tests/soak $(ARGS)

notebooks: .venv/.piwsl-lab-test
	$(BIN)/python tools/build_notebooks.py

screenshot: .venv/.piwsl-lab-test
	PIWSL_LAB_SCREENSHOT=docs/dashboard.png PIWSL_LAB_REQUIRE_BROWSER=1 $(BIN)/pytest -m browser tests/

bench: .venv/.piwsl-lab-test
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

.venv/.piwsl-lab-%: pyproject.toml tools/make_venv.sh
	@tools/make_venv.sh $*
