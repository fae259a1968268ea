# Every target prepares what it needs: it finds a Python, makes .venv and installs the pinned packages.
#
#   PYTHON=/path/to/python   the interpreter for .venv (found automatically otherwise)
#   RECORDING=path           make demo: your own recording in place of the simulated networks
#   ARGS="..."               make test, test-slow, bench, ...: further arguments

export PYTHON RECORDING

BIN := .venv/bin
PYTEST := MPLBACKEND=Agg OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint docs notebooks gallery bench bench-mixing bench-dense bench-scaling bench-priors \
	bench-engines bench-retina bench-truth bench-simulate bench-loo bench-imports clean venv pins

help:
	@echo "make demo        simulate two networks, fit them and compare with the truth; results in demo-output/"
	@echo "                 (make demo RECORDING=path fits a recording instead)"
	@echo "make test        the tests"
	@echo "make test-slow   the long statistical tests"
	@echo "make lint        ruff, mypy, and a check that the pinned versions agree"
	@echo "make docs        the documentation as a site: docs/_build/html/index.html; warnings are errors"
	@echo "make notebooks   run the notebooks and keep their outputs (ARGS=--short: few draws, outputs discarded)"
	@echo "make gallery     draw the pictures of docs/gallery.md"
	@echo "make bench       seconds per sweep, compared with the machine's floor and the published algorithm"
	@echo "make bench-mixing   effective draws per second of the published algorithm and of ours (an hour or more)"
	@echo "make bench-dense    the same on the dense model, compared with NUTS of nutpie and NumPyro (hours; ARGS)"
	@echo "make bench-scaling  seconds and memory per iteration, by neurons and bins (half an hour)"
	@echo "make bench-engines  seconds of an iteration on threads and by JAX, on a GPU if there is one (minutes; ARGS)"
	@echo "make bench-priors   block labels and positions: seconds per sweep and per leapfrog step"
	@echo "make bench-retina RECORDING=path  network priors on a recording of the retina (an hour or more)"
	@echo "make bench-truth  calls compared with the true connections of networks simulated by others (hours; ARGS=--short:"
	@echo "                 the first 600 s; PYMC_GLM_NETWORKS: a folder with the files, downloaded otherwise)"
	@echo "make bench-simulate  neuron-bins simulated per second (seconds)"
	@echo "make bench-loo      leave-one-out compared with az.loo, seconds per million observations (ARGS=--full: 10 million)"
	@echo "make bench-imports  seconds for import pymc_glm on top of import pymc"
	@echo "make pins        solve for the newest versions and pin them (constraints.txt, pyproject.toml)"
	@echo "make clean       remove .venv, demo-output, build outputs and all caches"
	@echo
	@echo "Each target first makes .venv if needed, with the first usable Python 3.12 to 3.14 or with PYTHON=path."

# "make clean test" cleans first, even with -j.
venv: | $(filter clean,$(MAKECMDGOALS))
	@sh .ci/make-venv

demo: venv
	$(BIN)/pymc-glm demo --output demo-output $${RECORDING:+--recording "$$RECORDING"}

test: venv
	$(PYTEST) $(ARGS)

test-slow: venv
	$(PYTEST) -m slow $(ARGS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python .ci/pins.py

docs: venv
	rm -rf docs/_build docs/reference/generated
	MPLBACKEND=Agg $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d docs/_build/doctrees . docs/_build/html
	@echo "The site is in docs/_build/html/index.html"

notebooks: venv
	$(BIN)/python notebooks/run.py $(ARGS)

gallery: venv
	$(BIN)/python docs/gallery.py

bench: venv
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-mixing: venv
	$(BIN)/python benchmarks/mixing.py --priors learned fixed $(ARGS)

bench-dense: venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/dense.py $(ARGS)

bench-scaling: venv
	$(BIN)/python benchmarks/scaling.py $(ARGS)

bench-engines: venv
	$(BIN)/python benchmarks/engines.py $(ARGS)

bench-priors: venv
	$(BIN)/python benchmarks/blocks.py
	$(BIN)/python benchmarks/network_nuts.py

bench-retina: venv
	$(BIN)/python benchmarks/retina.py "$$RECORDING" $(ARGS)

bench-truth: venv
	$(BIN)/python benchmarks/truth.py $(ARGS)

bench-simulate: venv
	$(BIN)/python benchmarks/simulate.py $(ARGS)

bench-loo: venv
	$(BIN)/python benchmarks/loo.py $(ARGS)

bench-imports: venv
	$(BIN)/python benchmarks/imports.py $(ARGS)

pins: venv
	$(BIN)/python .ci/pins.py --solve

clean:
	rm -rf .venv demo-output docs/_build docs/reference/generated build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.git -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
