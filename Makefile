# Thin on purpose: what a target does stands in tools/. The README has the same commands for conda and Windows.
PYTHON ?= python3
BIN    := .venv/bin
DATA   ?= planted
SEED   ?= 0

.DEFAULT_GOAL := help
.PHONY: help run test lab report

help:  ## this list
	@echo "TEMA-LLM, reproduced. Commands:"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-13s %s\n", $$1, $$2 }'
	@echo "Variables:"
	@echo '  DATA=folder    a folder with interactions.tsv and items.tsv (default: the planted world)'
	@echo '  SYSTEMS="..."  train only these systems, by name, separated by spaces'
	@echo '  FAST=1         short training; only a few items go through the live language model'
	@echo '  SEED=n         seed of everything random (default 0)'
	@echo '  TORCH_INDEX=   where torch comes from; on Linux without a GPU, take the much smaller CPU build:'
	@echo '                 TORCH_INDEX=https://download.pytorch.org/whl/cpu'

run: .venv/ready  ## all notebooks in order, with real models; ends with the metric table and an HTML copy
	@$(BIN)/python tools/chain.py --data "$(DATA)" --systems "$(SYSTEMS)" --seed "$(SEED)" $(if $(filter-out 0,$(FAST)),--fast)

test: .venv/ready  ## weights, unit tests, the notebooks in a chain, and their committed outputs (nbval)
	@$(BIN)/python tools/check.py

lab: .venv/ready  ## open the first notebook in JupyterLab
	@$(BIN)/python -m jupyter lab notebooks/00_start_here.ipynb

report: .venv/ready  ## rewrite the README's result table from results/
	@$(BIN)/python tools/report.py

# Made again only when a dependency changes.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) tools/environment.py --torch-index "$(TORCH_INDEX)"
