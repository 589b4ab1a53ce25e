# make demo   train, evaluate and draw a small network on the built-in data set, on a CPU, in a few minutes
# make test   run every test
# make lint   check the style
# make docs   build the pages of docs/ into docs/_build
# make clean  remove what these commands made, except the environment (make clean-all removes that too)
#
# The first command makes .venv and installs into it what constraints.txt pins; later ones need no network.
# PYTHON chooses the interpreter (make demo PYTHON=python3.12), JOBS the number of test processes.

PYTHON ?= python3
JOBS ?= 2
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := work_dirs/demo
CONFIG := configs/demo/scenes.py

.DEFAULT_GOAL := help
.PHONY: help install demo test lint docs clean clean-all

help:
	@sed -n 's/^# make/make/p' Makefile

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.py constraints.txt mmseg/version.py $(wildcard requirements/*.txt) | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[tests]'
	@touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/mmseg train $(CONFIG) --work-dir $(DEMO)
	$(BIN)/mmseg test $(CONFIG) "$$(cat $(DEMO)/last_checkpoint)" --work-dir $(DEMO) --show-dir $(DEMO)/pictures
	@echo
	@echo "image | truth | prediction of each scene: $(abspath $(DEMO)/pictures)"

test: install
	$(BIN)/python -m pytest -n $(JOBS)

lint: install
	$(BIN)/ruff check

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -q -W -b html docs/en docs/_build/en
	$(BIN)/python -m sphinx -q -W -b html docs/zh_cn docs/_build/zh_cn
	@echo "open $(abspath docs/_build/en/index.html)"

$(VENV)/.installed-docs: requirements/docs.txt constraints.txt | $(VENV)/.installed
	$(BIN)/python -m pip install -c constraints.txt -r requirements/docs.txt
	@touch $@

clean:
	rm -rf build dist docs/_build docs/*/api docs/*/methods docs/*/messages.md *.egg-info mmseg/.mim .pytest_cache .ruff_cache $(DEMO) data/scenes
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

clean-all: clean
	rm -rf $(VENV)
