# make compare   set up, and run the main job on the embedded digits data
# make test      set up, and run all tests
# make check     lint, format, types, import floors
# make examples  run every example as it is
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
RUN := .venv/bin
WORKERS ?= auto

.PHONY: compare test check examples setup

compare: setup
	$(RUN)/isthmus compare digits

test: setup
	OMP_NUM_THREADS=1 $(RUN)/pytest -n $(WORKERS)

check: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

examples: setup
	for example in examples/*.py; do OMP_NUM_THREADS=1 $(RUN)/python $$example || exit 1; done

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("isthmus needs Python 3.11 or newer; this is %d.%d: give make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
