# Two commands are enough: make train, make test. Everything happens in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
ARGS ?= meta=quick_dev env=cartpole

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@echo "usage: make TARGET [ARGS=\"...\"]"
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r target text; do printf '  %-10s %s\n' "$$target" "$$text"; done

$(VENV)/user: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; write make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	@touch $@

# what only some targets need is an extra of the same name
$(VENV)/dev $(VENV)/docs $(VENV)/bench: $(VENV)/user
	$(INSTALL) -e '.[$(@F)]'
	@touch $@

.PHONY: train
train: $(VENV)/user ## Train: make train ARGS="meta=standard env=acrobot" (default: CartPole, meta=quick_dev)
	$(BIN)/python train.py $(ARGS)

.PHONY: test
test: $(VENV)/dev ## Check style and types, and run the tests (three to four minutes)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2 --dist loadscope

.PHONY: test-slow
test-slow: $(VENV)/dev ## Run the learning tests as well (half an hour)
	$(BIN)/pytest -q -m "slow or not slow" -n 2 --dist loadscope

.PHONY: docs
docs: $(VENV)/docs ## Build the documentation site, site/index.html; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: check-docs
check-docs: $(VENV)/dev $(VENV)/bench ## Run every command, snippet and sample of README and docs (a quarter of an hour)
	$(BIN)/python docs/check.py

.PHONY: pictures
pictures: $(VENV)/dev ## Make the pictures of docs/gallery.md again (needs chromium and chromedriver)
	$(BIN)/python docs/pictures.py

.PHONY: bench
bench: $(VENV)/bench ## Compare the speed with Stable-Baselines3
	$(BIN)/python -m benchmarks.speed ppo_cartpole

.PHONY: format
format: $(VENV)/dev ## Format the code and fix what can be fixed by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove the virtual environment and all caches; results in outputs/ and multirun/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist site
