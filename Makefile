# Two commands do everything: `make demo` and `make test`. Python 3.11, pip and make are all they need.
PYTHON ?= python3
BIN := .venv/bin
# Images of containers set it, and then each of the thousand commands of the suite compiles its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test lint faults bench package test-ray test-slurm test-s3

setup: .venv/installed

# pip 23.2 crashes on lxml's extras, hence the upgrade first.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# The whole way in small: 6 minutes on two busy cores, 4 of CPU time. Stopped, the same command goes on.
demo: setup
	runs/cpu.sh

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# Many machines and S3, each on this one: a Ray cluster of two raylets, Slurm's daemons (as root, with Debian's
# slurm-wlm and munge), moto's S3 server. What they need beside `setup` is installed when it is not there.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

test-ray: setup
	$(BIN)/python -c 'import ray' 2>/dev/null || $(INSTALL) --editable '.[ray]'
	WENHAI_RAY=1 $(BIN)/python -m pytest -rs tests/corpus/test_executor_ray.py

test-slurm: setup
	WENHAI_SLURM=1 $(BIN)/python -m pytest -rs tests/corpus/test_executor_slurm.py

test-s3: setup
	$(BIN)/python -c 'import s3fs, moto.server' 2>/dev/null || $(INSTALL) --editable '.[s3]' 'moto[server]>=5'
	$(BIN)/python -m pytest -rs tests/corpus/test_s3.py

# Builds an sdist and a wheel, and installs the wheel into an empty environment far from here: some minutes.
package: setup
	$(BIN)/python -c 'import build' 2>/dev/null || $(INSTALL) 'build>=1.2'
	WENHAI_PACKAGE=1 $(BIN)/python -m pytest -rs tests/test_package.py

# The full counts of docs/faults.md: about an hour on two cores.
faults: setup
	WENHAI_FULL=1 $(BIN)/python -m pytest -p tests.faults.figures tests/faults tests/corpus tests/runkit tests/train \
		tests/judge tests/selfinstruct --timeout 3600

# Peers are installed beside us, for some of them overwrite modules of ours; what is absent is skipped with a sentence.
# Extractors run in our own environment, in one process with ours.
bench: setup .venv-peers/installed
	$(BIN)/python -c 'import lightgbm, readability, justext' 2>/dev/null || \
		$(INSTALL) lightgbm==4.7.0 readability-lxml==0.9 jusText==3.0.2
	$(BIN)/python bench/page.py

.venv-peers/installed: bench/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24.1'
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement bench/requirements-peers.txt
	touch $@
