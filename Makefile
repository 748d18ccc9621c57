# make compare   set up, and run the main job on the embedded digits data
# make test      set up, and run all tests
# make quick     set up, and run the tests that take little time: about two minutes on two cores
# make isa       set up, and run what hangs on rounding under two other instruction sets
# make check     lint, format, types, import floors
# make examples  run every example as it is
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
RUN := .venv/bin
WORKERS ?= auto

# What is compiled is kept, whatever the environment says: every process that tests start would else compile it again.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN)/pytest -n $(WORKERS) --dist worksteal
# To make asserts tell what they compare takes each worker ten seconds: those of tests that failed do, in a second run.
TESTS = $(PYTEST) --assert=plain $(1) || { $(PYTEST) --last-failed --last-failed-no-failures none $(1); exit 1; }

.PHONY: compare test quick isa check examples setup

compare: setup
	$(RUN)/isthmus compare digits

test: setup
	$(call TESTS)

quick: setup
	$(call TESTS,-m "not slow")

SENSITIVE = $(call TESTS,-m sensitive $(shell grep -rl sensitive tests --include="test_*.py"))

# Products, convolutions and sums each have kernels of their own for each instruction set.
isa: setup
	export ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE; $(SENSITIVE)
	export ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=AVX2; $(SENSITIVE)

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
