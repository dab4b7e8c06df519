# make demo   set up and run the whole system on a simulated drive
# make test   set up and run all tests
# make lint   style, types and layers
# make bench  speed of the node and of the networks
# make clean  remove everything that was built
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := demo
.PHONY: setup demo test lint bench clean

# Returns at once when nothing that the environment is made from has changed.
setup:
	@$(PYTHON) scripts/setup_environment.py

demo: setup
	$(BIN)/fusion-ros demo $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/python -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

# One table: make bench ARGS=pairing. What needs real recordings: the scripts' own help.
bench: setup
	$(BIN)/fusion-ros bench $(ARGS)

clean:
	rm -rf .venv build install log .pytest_cache .ruff_cache .mypy_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
