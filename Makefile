# `make book` and `make test` are all that a fresh machine with Python 3.10+ needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

.PHONY: book serve smoke test bench clean

$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

# Every chapter is executed on the published runs, then rendered; what has not changed is not executed again.
book: $(VENV)/installed
	$(BIN)/python tools/build_book.py

serve: book
	$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 $(PORT)

# Every chapter trains for real, on the embedded drawings; its numbers are read back and compared with the store.
smoke: $(VENV)/installed
	$(BIN)/python tools/build_book.py --profile smoke --no-html
	$(BIN)/python -m pytest tests/chapters/test_chapters.py tests/chapters/test_freezing.py tests/chapters/test_middle.py

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --project . --pythonpath $(BIN)/python
	$(BIN)/python tools/lint_notebooks.py
	# in the order of the folders: the slowest files, in browser/ and chapters/, come first and side by side
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder \
		--cov --cov-report=term:skip-covered --ignore=tests/chapters/test_chapters.py \
		--ignore=tests/chapters/test_freezing.py --ignore=tests/chapters/test_middle.py # `make smoke` runs them

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) _build
