# Thin on purpose: the command `tema` does the work. docs/install.md is for conda and Windows.
PYTHON ?= python3
BIN    := .venv/bin
DATA   ?= synthetic
SEED   ?= 0
YEAR   ?= 2014
# What the user gives reaches the programs through the environment, letter by letter: written into
# a recipe, a dollar would be make's and a quote the shell's. An override also keeps the $ of
# a value from the command line.
GIVEN  := PYTHON DATA SYSTEMS SEED PAIR YEAR OUT FROM CORE LLM DOMAINS TAGS REPLIES REQUEST DTYPE \
          ROUNDS LARGE TORCH_INDEX SUBMISSIONS
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)
THREADS ?= $(or $(OMP_NUM_THREADS),1)
export OMP_NUM_THREADS := $(THREADS)
export OMP_WAIT_POLICY ?= PASSIVE
# Packages are compiled when they are first imported; this would throw that away each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run lint test browser-test lab report data tags assignments grade book slides \
        bench bench-growth bench-data bench-tagging

help:  ## this list
	@echo "TEMA-LLM, reproduced. Commands:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1@\2/p' Makefile | \
	    awk -F@ '{ printf "%-19s %s\n", $$1, $$2 }'
	@echo "Variables:"
	@echo '  DATA=folder    a folder with interactions.tsv and items.tsv (default: synthetic data)'
	@echo '  SYSTEMS="..."  train these systems, by name, separated by spaces; SYSTEMS=all: every'
	@echo '                 one (default: those of the lesson)'
	@echo '  SEED=n         seed of everything random (default 0)'
	@echo '  THREADS=n      processor threads (default 1: the same numbers every time)'
	@echo '  PAIR=name      food-kitchen or movies-books; YEAR=2014, 2018 or 2023; OUT=folder;'
	@echo '                 FROM=ratings, reviews or reviews_5; CORE=n fewest events of items and'
	@echo '                 users (default 5); PICTURES=0 leaves the pictures out'
	@echo '  DOMAINS="a,b"  names of the domains, DOMAINS="movies,books" (default: dataset.json)'
	@echo '  TAGS=source    whose tags TEMA-LLM is trained on: small (the model that runs here),'
	@echo '                 export:<model> (made by make tags, in data/tags/), or a file (default:'
	@echo '                 those of a large model where data/tags/ has some, else small)'
	@echo '  REPLIES=source what the small model says: live (default: it is asked about every item),'
	@echo '                 shipped (synthetic data only: stored replies for most items), or export'
	@echo '  LLM=name       for make tags: a known name, a folder, a hub id, or the URL of an'
	@echo '                 OpenAI-compatible server (#model behind it); DTYPE=bfloat16: faster with'
	@echo '                 matrix units; OUT=folder; AGAIN=1 asks refused items again; LARGE=1: the'
	@echo '                 server has a large model, which tags many items in one request;'
	@echo '                 REQUEST="field=value field=value": sent to a server beside the prompt'
	@echo '  SUBMISSIONS=   for make grade: a folder with <student>/<assignment>.ipynb; UNSAFE=1'
	@echo '                 grades where the sandbox does not hold, and says what is not enforced'
	@echo '  QUICK=1        make test without its long parts'
	@echo '  TORCH_INDEX=   where torch comes from (default on Linux without a GPU: the index of'
	@echo '                 the smaller CPU builds, if it answers)'

run: .venv/ready  ## all notebooks, with real models; ends with the metric table and an HTML copy
	@$(BIN)/python -m tema_lib run --data="$$DATA" --systems="$$SYSTEMS" --seed="$$SEED" \
	    $${DOMAINS:+"--domains=$$DOMAINS"} $${TAGS:+"--tags=$$TAGS"} \
	    $${REPLIES:+"--replies=$$REPLIES"}

lint: .venv/ready-test  ## format, rules (ruff) and types (mypy)
	@$(BIN)/python tools/check.py --lint

test: .venv/ready-test  ## lint, weights, unit tests, notebook chain, and stored outputs (nbval)
	@$(BIN)/python tools/check.py $(if $(filter-out 0,$(QUICK)),--quick)

browser-test: .venv/ready-test  ## notebook 05 in a real browser; screenshots in build/screenshots/
	@$(BIN)/python -m pytest tests/test_browser.py -q -rs

lab: .venv/ready-lab  ## open the first notebook in JupyterLab
	@$(BIN)/python -m jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

data: .venv/ready  ## fetch and prepare two Amazon categories: PAIR=food-kitchen or movies-books
	@$(BIN)/python -m tema_lib data --pair="$$PAIR" --year="$$YEAR" \
	    $${OUT:+"--out=$$OUT"} $${FROM:+"--events=$$FROM"} $${CORE:+"--core=$$CORE"} \
	    $(if $(filter 0,$(PICTURES)),--no-pictures)

# A model behind a URL needs its client.
TAGGER := $(if $(findstring ://,$(LLM)),.venv/ready-llm,.venv/ready)
tags: $(TAGGER)  ## tag every item of DATA with a language model; the export goes to data/tags/
	@set -f; for field in $$REQUEST; do set -- "$$@" "--request=$$field"; done; \
	$(BIN)/python -m tema_lib tags --data="$$DATA" \
	    $${LLM:+"--llm=$$LLM"} $${OUT:+"--out=$$OUT"} $${DOMAINS:+"--domains=$$DOMAINS"} \
	    $${DTYPE:+"--dtype=$$DTYPE"} $(if $(filter-out 0,$(AGAIN)),--again) \
	    $(if $(filter-out 0,$(LARGE)),--large) "$$@"

assignments: .venv/ready-course  ## students' copies of the graded assignments, for nbgrader
	@$(BIN)/python -m tema_lib assignments

grade: .venv/ready-course  ## mark the folder SUBMISSIONS, each notebook in a sandbox
	@$(BIN)/python -m tema_lib grade $(if $(filter-out 0,$(UNSAFE)),--unsafe) -- "$$SUBMISSIONS"

book: .venv/ready-book  ## notebooks, docs and docstrings as one site, no network: build/book/
	@$(BIN)/python -m tema_lib book $${OUT:+"--out=$$OUT"}

slides: .venv/ready-book  ## the lectures 01 to 06 as slides, without a network: build/slides/
	@$(BIN)/python -m tema_lib slides $${OUT:+"--out=$$OUT"}

bench: .venv/ready-test  ## training and ranking against three libraries; results/bench_speed.json
	@$(BIN)/python benchmarks/speed.py $${ROUNDS:+"--rounds=$$ROUNDS"}

bench-growth: .venv/ready-test  ## time and memory as the data grow; results/bench_growth.json
	@$(BIN)/python benchmarks/growth.py

bench-tagging: .venv/ready-test  ## batched tagging against item by item; results/bench_tagging.json
	@$(BIN)/python benchmarks/tagging.py

bench-data: .venv/ready-test  ## preparation against pandas (LARGE=n lines); results/bench_data.json
	@$(BIN)/python benchmarks/data.py $${ROUNDS:+"--rounds=$$ROUNDS"} $${LARGE:+"--large=$$LARGE"}

report: .venv/ready  ## rewrite the tables of README and docs/ from results/
	@$(BIN)/python -m tema_lib readme

# One file for each extra of pyproject.toml; made again only when a dependency changes.
.venv/ready:      EXTRAS = notebooks
.venv/ready-lab:  EXTRAS = notebooks lab
.venv/ready-llm:  EXTRAS = notebooks llm
.venv/ready-course: EXTRAS = notebooks course
.venv/ready-book: EXTRAS = notebooks llm book
.venv/ready-test: EXTRAS = notebooks lab llm course book serve portable test
.venv/ready .venv/ready-lab .venv/ready-llm .venv/ready-course .venv/ready-book \
    .venv/ready-test: pyproject.toml setup.py constraints.txt
	@"$$PYTHON" tools/environment.py --torch-index="$$TORCH_INDEX" $(EXTRAS)
