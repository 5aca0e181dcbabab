# `make lab` opens the laboratory, `make test` checks everything. Python 3.10-3.13 is all they need:
# .venv is made on the first call and brought up to date when pyproject.toml changes.
.PHONY: help lab lint docs test soak lowest notebooks screenshot bench
BIN := .venv/bin

# Small tensors: one thread is as fast as two, and leaves the other cores to the browser and the notebooks.
lint docs test soak lowest notebooks screenshot: export OMP_NUM_THREADS ?= 1

help:
	@echo "make lab         open the laboratory in a browser"
	@echo "make test        lint, docs, tests and notebooks"
	@echo "make lint        style, types, spelling, and whether notebooks and tables are those of their sources"
	@echo "make docs        the pages as a site: docs/_build/html/index.html"
	@echo "make soak        the browser on a loaded machine, again and again: no screen is ever blank"
	@echo "make lowest      the tests on the lowest versions of all dependencies"
	@echo "make notebooks   build notebooks/*.ipynb from notebooks/source/*.py"
	@echo "make screenshot  take docs/dashboard.png anew"
	@echo "make bench       the benchmarks behind the figures of README.md"

lab: .venv/.piwsl-lab-lab
	@$(BIN)/piwsl-lab lab

# The same commands as in .pre-commit-config.yaml.
lint: .venv/.piwsl-lab-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python tools/build_notebooks.py --check
	$(BIN)/python tools/readme_tables.py --check

# From scratch, so that no page is left of a source that has gone; it takes a quarter of a minute.
docs: .venv/.piwsl-lab-test
	rm -rf docs/_build
	$(BIN)/sphinx-build -W --keep-going -q -b html -c docs -d docs/_build/doctrees . docs/_build/html
	$(BIN)/python tools/check_links.py docs/_build/html

test: lint docs
	$(BIN)/pytest tests/
	$(BIN)/pytest --nbval notebooks/

# One scene, and a table of all trials: make soak ARGS='-k "f5 and deck" --soak-csv soak.csv'
soak: export PIWSL_LAB_REQUIRE_BROWSER ?= 1
soak: .venv/.piwsl-lab-test
	$(BIN)/pytest tests/soak $(ARGS)

lowest:
	tools/test_lowest.sh

notebooks: .venv/.piwsl-lab-test
	$(BIN)/python tools/build_notebooks.py

screenshot: .venv/.piwsl-lab-test
	PIWSL_LAB_SCREENSHOT=docs/dashboard.png PIWSL_LAB_REQUIRE_BROWSER=1 $(BIN)/pytest -m browser tests/

bench: .venv/.piwsl-lab-test
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

.venv/.piwsl-lab-%: pyproject.toml tools/make_venv.sh
	@tools/make_venv.sh $*
