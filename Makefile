# make demo   install, replay the sample traces, print where the report lies
# make test   install, run the test suite
# make lint   install, run ruff, mypy (strict) and import-linter
# make docs   install, build the site of the documentation into runs/site
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint docs clean
.DELETE_ON_ERROR:

# The stamp is renewed when what is installed changes.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/hpcai evaluate experiments/demo.yaml --out runs/demo

test: .venv/installed
	$(BIN)/python -m tests.warm_up
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv dist build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
