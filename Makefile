PYTHON ?= python3
VENV ?= .venv
# The exact versions of Python 3.11 – 3.13; for 3.10, where some do not exist: make test PINS=
PINS ?= --constraint constraints.txt
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PINS)

.PHONY: run test quick lint bench model examples lessons clean

run: $(VENV)/compiled  ## the page on http://127.0.0.1:7860
	$(VENV)/bin/python app.py

test: $(VENV)/compiled lint  ## everything, the browser included
	$(VENV)/bin/python -m pytest --numprocesses 2

quick: $(VENV)/compiled $(VENV)/dev  ## without a browser and without what is slow
	$(VENV)/bin/python -m pytest --numprocesses 2 -m "not browser and not slow"

# Where there is no Node, the JavaScript stays unchecked here; CI checks it.
lint: $(VENV)/dev $(if $(shell command -v npm),node_modules/.package-lock.json)
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
	$(if $(shell command -v npm),npm run --silent lint,@echo "lint: no Node here, the JavaScript is not checked")

bench: $(VENV)/compiled  ## a table of speeds on this machine; the last line is JSON
	$(VENV)/bin/python -m benchmarks.all

model: $(VENV)/run  ## train the bundled model again; DATA is the folder of its texts
	$(VENV)/bin/python scripts/train_bundled_model.py --data $(DATA)
	$(VENV)/bin/python scripts/evaluate_bundled_model.py --data $(DATA)

examples: $(VENV)/run  ## record the runs that the page shows before a model has loaded
	$(VENV)/bin/python scripts/record_examples.py
	$(VENV)/bin/python scripts/record_lessons.py

lessons: $(VENV)/run  ## the tour as one file for a class room, every chapter checked: build/lessons.html
	$(VENV)/bin/python scripts/write_lessons.py build/lessons.html

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements.txt constraints.txt | $(VENV)/bin/python
	$(PIP) --requirement requirements.txt
	touch $@

# The loops of recycling_plus, so that neither the page nor a test waits for them.
$(VENV)/compiled: $(wildcard tr_core/drafters/recycling_plus/kernels/*.py) $(wildcard tr_core/budget/*.py) tr_core/trees/tree.py | $(VENV)/run
	$(VENV)/bin/python -m tr_core.drafters.recycling_plus.kernels.warm_up
	touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/run
	$(PIP) --requirement requirements-dev.txt
	scripts/install_browser.sh $(VENV)
	touch $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --silent --no-audit --no-fund

clean:
	rm -rf $(VENV) node_modules build .mypy_cache .pytest_cache .ruff_cache .hypothesis
