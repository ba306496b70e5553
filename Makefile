# Two commands for a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
FUZZ_EXAMPLES ?= 20000

.PHONY: demo test test-hidden fuzz kill lint bench lock clean

demo: .venv/installed
	$(BIN)/flexrel-sim run scenarios/quickstart.yaml

test: .venv/installed
	$(BIN)/pytest -n $(WORKERS) --cov --cov-report=term

# What can differ on a machine without Fashion-MNIST, run as on one; a test follows the list.
test-hidden: .venv/installed
	FLEXREL_HIDE=fashion-mnist $(BIN)/pytest -n $(WORKERS) tests/datasets tests/regression tests/comparison \
		tests/cli/test_app.py tests/test_shipped.py::test_every_shipped_scenario_is_right

# For hours: other examples every time, so many of each kind. A failure prints how to see it again.
fuzz: .venv/installed
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest tests/fuzz -n $(WORKERS) --hypothesis-profile=fuzz

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

# Writes exact versions of everything that setup.cfg and pyproject.toml ask for, with the hashes of
# all their files: uv takes them from the index, where pip-compile would fetch every file. torch is
# apart, without a hash: its version has builds (for a GPU, for the CPU) under one name, and which of
# them is installed is the machine's choice.
lock: .venv/installed
	$(BIN)/pip install --quiet pip-tools uv
	mkdir -p build
	grep -h '^[a-z].*==' requirements.lock requirements-torch.lock | sed 's/ .*//' > build/pins.txt
	$(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --no-header --no-annotate --all-build-deps \
		--extra test --extra lint --extra notebook --output-file build/pins.txt setup.cfg
	sed -i.bak -e 's/+cpu$$//' -e '/^#/d' build/pins.txt
	grep '^torch==' build/pins.txt > requirements-torch.lock
	grep -v '^torch==' build/pins.txt > build/hashed.in
	$(BIN)/uv pip compile --quiet --no-deps --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --output-file requirements.lock build/hashed.in

.venv/installed: requirements.lock requirements-torch.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'flexrel_sim needs Python 3.11 or newer; give one with make PYTHON=python3.11 …'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-torch.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv results build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage .coverage.*
