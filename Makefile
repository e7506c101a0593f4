# `make smoke` and `make test` are all that a fresh machine with Python 3.10+ needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SMOKE := smoke

.PHONY: smoke test lint bench clean

$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

smoke: $(VENV)/installed
	$(BIN)/transferlib run --profile smoke --store $(SMOKE)
	$(BIN)/transferlib plot --store $(SMOKE) --figure 2 --out $(SMOKE)/figure2.png
	$(BIN)/transferlib plot --store $(SMOKE) --figure 3 --out $(SMOKE)/figure3.png

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(SMOKE)
