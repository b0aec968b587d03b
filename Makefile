# Hard to Train: Glorot & Bengio (2010), run line by line. `make` alone lists what there is.

# The Python that .venv is made with.
PYTHON ?= python3
# Another package index to take torch from: PyTorch's own CPU index, for one. See the README.
TORCH_INDEX ?=
# Where `make serve` answers.
PORT ?= 8000

# One thread: the networks are small, and the book's digits are then the same on every machine.
export OMP_NUM_THREADS ?= 1
export PYTHON TORCH_INDEX

VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup book test lab serve lint bench notebooks upgrade clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup:  ## create .venv and install into it what constraints.txt pins (the others call it)
	@$(PYTHON) tools/environment.py

book: setup  ## run every lesson and build the HTML in _build/html (SELF_STUDY=0: no assignments)
	@$(BIN)/python -m tools.book build

# The book is built first and its status kept, so that the tests run whatever came of it; one
# test asserts the status. The lessons then run a second time, as notebooks.
test: setup  ## build the book, then run every test, the lessons and the browser checks included
	@$(BIN)/python -m tools.book build; status=$$?; \
	if [ $$status = 130 ]; then exit 130; fi; \
	$(BIN)/python -m tools.book notebooks; \
	BOOK_STATUS=$$status $(BIN)/python -m pytest -n 2 --dist loadfile tests _build/nbval

lab: setup notebooks  ## open the lessons in JupyterLab
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/lessons/00_start_here.md

serve:  ## show the built book at http://127.0.0.1:8000 (PORT=... for another)
	@test -f _build/html/index.html || { echo "No book yet: run 'make book' first."; exit 1; }
	@echo "The book is at http://127.0.0.1:$(PORT)/ (Ctrl-C stops it)"
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lint: setup  ## check the style of the code
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

bench: setup  ## time the engine, its peers and the rest; record it in benchmarks/results
	@$(BIN)/python -m benchmarks

notebooks: setup  ## write the lessons as .ipynb into notebooks/
	@$(BIN)/jupytext --quiet --sync lessons/*.md && echo "The notebooks are in notebooks/"

upgrade: setup  ## pin the newest versions that pyproject.toml allows, test them, say what changed
	@$(BIN)/python -m tools.upgrade

clean:  ## remove everything that was built, .venv included
	rm -rf $(VENV) _build notebooks .pytest_cache .ruff_cache *.egg-info
