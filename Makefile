# make train | test | sanitize | lint | bench: each builds .venv first if need be.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
CONFIG ?= experiments/lenet_fashion_mnist.py
WORKDIR ?= runs/lenet_fashion_mnist

.PHONY: train test sanitize lint bench clean
.DELETE_ON_ERROR:

train: $(VENV)/.installed
	$(RUN) -m convnets.data.fetch_fashion_mnist
	$(RUN) launch.py train --config=$(CONFIG) --workdir=$(WORKDIR)

test: $(VENV)/.installed-dev
	$(RUN) -m convnets.data.fetch_fashion_mnist
	$(RUN) -m pytest -n auto --maxprocesses=2 --dist=worksteal -m "not devices8"
	CONVNETS_TEST_DEVICES=8 $(RUN) -m pytest -m devices8

sanitize: $(VENV)/.installed-dev
	$(RUN) tests/kernels/sanitize.py

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/.installed-dev
	$(RUN) -m benchmarks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, and $(PYTHON) is " + sys.version.split()[0] + ": name another one, as in make PYTHON=python3.12")'
	@# Debian splits ensurepip off into python3-venv; pip itself can fill the environment instead.
	$(PYTHON) -m venv $(VENV) > /dev/null 2>&1 || ( \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip )

$(VENV)/.installed: requirements.txt requirements-cpu.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-cpu.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt requirements-cpu.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-cpu.txt -r requirements-dev.txt
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) runs
