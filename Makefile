# Two commands for a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.PHONY: demo test kill lint bench lock clean

demo: .venv/installed
	$(BIN)/flexrel-sim run scenarios/quickstart.yaml

test: .venv/installed
	$(BIN)/pytest -n $(WORKERS) --cov --cov-report=term

# Kills runs at random moments; the tests do so a few times.
kill: .venv/installed
	FLEXREL_KILLS=300 $(BIN)/pytest tests/test_kills.py

# Docstrings are checked by ruff: D (numpydoc sections) and D417 (every parameter documented).
lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg

bench: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench

# Writes exact versions of everything that setup.cfg and pyproject.toml ask for.
lock: .venv/installed
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --no-header --no-annotate --all-build-deps \
		--extra test --extra lint --extra notebook --output-file requirements.lock setup.cfg
	sed -i.bak -e 's/+cpu$$//' -e '/^#/d' requirements.lock && rm requirements.lock.bak

.venv/installed: requirements.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'flexrel_sim needs Python 3.11 or newer; give one with make PYTHON=python3.11 …'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv results build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage .coverage.*
