# Thin on purpose: the command `tema` does the work. docs/install.md has the same for conda and Windows.
PYTHON ?= python3
BIN    := .venv/bin
DATA   ?= synthetic
SEED   ?= 0
YEAR   ?= 2014
# What the user gives reaches the programs through the environment, letter by letter: written into a recipe, a dollar
# would be make's and a quote the shell's. An override also takes the $ of a value from the command line as it stands.
GIVEN  := PYTHON DATA SYSTEMS SEED PAIR YEAR OUT FROM CORE LLM DOMAINS TAGS REQUEST DTYPE ROUNDS LARGE TORCH_INDEX
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)
THREADS ?= $(or $(OMP_NUM_THREADS),1)
export OMP_NUM_THREADS := $(THREADS)
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help run lint test browser-test lab report data tags bench bench-growth bench-data bench-tagging

help:  ## this list
	@echo "TEMA-LLM, reproduced. Commands:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-19s %s\n", $$1, $$2 }'
	@echo "Variables:"
	@echo '  DATA=folder    a folder with interactions.tsv and items.tsv (default: the synthetic data set)'
	@echo '  SYSTEMS="..."  train only these systems, by name, separated by spaces'
	@echo '  FAST=1         short training; only a few items go through the live language model'
	@echo '  SEED=n         seed of everything random (default 0)'
	@echo '  THREADS=n      processor threads (default 1: quiet, and the same numbers every time; two help with large catalogues)'
	@echo '  PAIR=name      food-kitchen or movies-books; YEAR=2014, 2018 or 2023; OUT=folder; FROM=ratings, reviews or reviews_5;'
	@echo '                 CORE=n fewest events of items and users (default 5); PICTURES=0 leaves the pictures out'
	@echo '  DOMAINS="a,b"  what domains A and B are called, for instance DOMAINS="movies,books" (default: what dataset.json beside the tables says)'
	@echo '  TAGS=road      where make run takes the tags from: live (default), export:<model> (made by make tags, in data/tags/), or a file'
	@echo '  LLM=name       for make tags: a known name, a folder, a hub id, or the URL of an OpenAI-compatible server (#model behind it);'
	@echo '                 DTYPE=bfloat16: faster where the processor has matrix units; OUT=folder; AGAIN=1 asks refused items again;'
	@echo '                 REQUEST="field=value field=value": what a server is sent beside the prompt'
	@echo '  TORCH_INDEX=   where torch comes from; on Linux without a GPU, take the much smaller CPU build:'
	@echo '                 TORCH_INDEX=https://download.pytorch.org/whl/cpu'

run: .venv/ready  ## all notebooks in order, with real models; ends with the metric table and an HTML copy
	@$(BIN)/python -m tema_lib run --data="$$DATA" --systems="$$SYSTEMS" --seed="$$SEED" \
	    $${DOMAINS:+"--domains=$$DOMAINS"} $${TAGS:+"--tags=$$TAGS"} $(if $(filter-out 0,$(FAST)),--fast)

lint: .venv/ready  ## format, rules (ruff) and types (mypy)
	@$(BIN)/python tools/check.py --lint

test: .venv/ready  ## lint, weights, unit tests, the notebooks in a chain, and their committed outputs (nbval)
	@$(BIN)/python tools/check.py

browser-test: .venv/ready  ## notebook 05 in JupyterLab and Notebook 7, by a real browser; screenshots in build/screenshots/
	@$(BIN)/python -m pytest tests/test_browser.py -q -rs

lab: .venv/ready  ## open the first notebook in JupyterLab
	@$(BIN)/python -m jupyter lab notebooks/00_start_here.ipynb

data: .venv/ready  ## fetch two official Amazon categories and prepare them: PAIR=food-kitchen or movies-books
	@$(BIN)/python -m tema_lib data --pair="$$PAIR" --year="$$YEAR" \
	    $${OUT:+"--out=$$OUT"} $${FROM:+"--events=$$FROM"} $${CORE:+"--core=$$CORE"} $(if $(filter 0,$(PICTURES)),--no-pictures)

tags: .venv/ready  ## tag every item of DATA with a language model, resumable; writes the compact export to data/tags/
	@set -f; for field in $$REQUEST; do set -- "$$@" "--request=$$field"; done; \
	$(BIN)/python -m tema_lib tags --data="$$DATA" \
	    $${LLM:+"--llm=$$LLM"} $${OUT:+"--out=$$OUT"} $${DOMAINS:+"--domains=$$DOMAINS"} \
	    $${DTYPE:+"--dtype=$$DTYPE"} $(if $(filter-out 0,$(AGAIN)),--again) "$$@"

bench: .venv/ready  ## training and ranking against RecBole, RecTools and RePlay; writes results/bench_speed.json
	@$(BIN)/python benchmarks/speed.py $${ROUNDS:+"--rounds=$$ROUNDS"}

bench-growth: .venv/ready  ## time and memory as items, users and sequences grow; writes results/bench_growth.json and .png
	@$(BIN)/python benchmarks/growth.py

bench-tagging: .venv/ready  ## the fast tagging path against one greedy generation after the other; writes results/bench_tagging.json
	@$(BIN)/python benchmarks/tagging.py

bench-data: .venv/ready  ## data preparation against the pandas way; writes results/bench_data.json (LARGE=n: also n lines, for the memory)
	@$(BIN)/python benchmarks/data.py $${ROUNDS:+"--rounds=$$ROUNDS"} $${LARGE:+"--large=$$LARGE"}

report: .venv/ready  ## rewrite the tables of README and docs/ from results/
	@$(BIN)/python -m tema_lib readme

# Made again only when a dependency changes.
.venv/ready: pyproject.toml setup.py constraints.txt
	@"$$PYTHON" tools/environment.py --torch-index="$$TORCH_INDEX"
