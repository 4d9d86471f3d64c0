# `make` sets up and runs the pipeline; `make test` sets up and runs the fast tests.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: all quick setup test test-slow lint bench demo setup-bases setup-demo setup-hub setup-s3 setup-sweep pins clean
all: setup
	@dvc status --quiet || smallvision estimate
	dvc repro

# The whole pipeline on the drawn pictures with a pretrained network in place of the book's, which takes far longer.
QUICK := -S source=drawn -S labels=auto -S classes=null -S recipe=extracted -S recipes.extracted.image_size=150
quick: setup
	@smallvision estimate $(QUICK)
	dvc exp run $(QUICK)
	@echo 'quick: params.yaml now says source: drawn and recipe: extracted; `make` goes on with that.'

setup: .venv/command .dvc/plots/vega.js

# Both stamps are written last, so an interrupted installation starts again.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
	  f"smallvision needs Python 3.11 to 3.13, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

# The command `smallvision` runs the code in this folder. setuptools is one of the requirements, so pip fetches nothing.
.venv/command: .venv/installed pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Vega's JavaScript draws the page of `dvc plots show`. This copy makes the page work without a network.
.dvc/plots/vega.js: .venv/installed
	python -c "import vl_convert; print(vl_convert.javascript_bundle(vl_version='5.21'))" > $@.part
	@mv $@.part $@

test: setup
	pytest

# In the order of the folders, since files of few tests take longest here, and would come last.
test-slow: setup
	pytest -m slow --no-loadscope-reorder

lint: setup
	ruff check .
	ruff format --check .
	lint-imports --no-logo
	mypy

# This takes half an hour on two cores, if nothing else runs. `make bench TORCH=python-with-pytorch` compares with PyTorch too.
bench: setup
	python -m benchmarks $(if $(TORCH),--torch $(TORCH))

# A web page on this machine: drop a picture, see what the network says. `make demo PORT=9000` for another port.
demo: setup-demo
	smallvision demo $(if $(PORT),--port $(PORT))

# setup-bases is for larger pretrained networks, setup-hub for those of timm and transformers, setup-s3 for a DVC remote
# on S3, setup-sweep for searches: see docs/howto.md.
setup-bases setup-demo setup-hub setup-s3 setup-sweep: setup-%: .venv/installed-%

.venv/installed-%: .venv/installed requirements-%.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-$*.txt
	@touch $@

# This needs uv. The last two options keep the addresses of indexes out of the files.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links
pins:
	$(COMPILE) --group dev pyproject.toml -o requirements.txt
	$(COMPILE) --group bases --constraint requirements.txt -o requirements-bases.txt
	$(COMPILE) --group demo --constraint requirements.txt -o requirements-demo.txt
	$(COMPILE) --group hub --constraint requirements.txt -o requirements-hub.txt
	$(COMPILE) --group s3 --constraint requirements.txt -o requirements-s3.txt
	$(COMPILE) --group sweep --constraint requirements.txt -o requirements-sweep.txt

clean:
	rm -rf .venv
