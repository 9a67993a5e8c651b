# Two commands are enough: `make run` and `make test`; `make demo` shows the same in a browser.

PYTHON ?= python3
VENV ?= .venv
SOURCE ?= demos/samples/colonoscopy.mp4
OUT ?= out

BIN := $(VENV)/bin

.PHONY: run demo test test-tensorrt lint types bench bench-peers bench-docs gpu-check clean

run: $(VENV)/.run
	$(BIN)/pranet-stream --source "$(SOURCE)" --output $(OUT)/overlay.mp4 \
		--events $(OUT)/events.jsonl --report $(OUT)/report.json

demo: $(VENV)/.demo
	$(BIN)/pranet-demo --browser

test: $(VENV)/.dev
	$(BIN)/python -m pytest

# That every network converts, by TensorRT's own builder, which needs no GPU for it.
test-tensorrt: tests/tensorrt/.venv/.installed
	PRANET_TENSORRT_TESTS=1 tests/tensorrt/.venv/bin/python -m pytest tests/tensorrt

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.run
	$(BIN)/pranet-bench file "$(SOURCE)"

# Uses what is there: its own environment if it was made, else that of the caller.
gpu-check:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m demos.gpu_check

# Puts a measurement into docs/benchmarks.md, with its report and its plots beside it.
into_docs = --report docs/benchmarks/$(1).json --markdown docs/benchmarks.md --plots docs/benchmarks

# Other programs for the same task, which have a virtual environment of their own.
bench-peers: $(VENV)/.dev benchmarks/.venv/.installed
	$(BIN)/pranet-bench peers "$(SOURCE)" --size 1920x1080 $(call into_docs,peers)

# All figures of docs/benchmarks.md, on a machine that has nothing else to do; glass needs Xvfb.
bench-docs: bench-peers
	$(BIN)/pranet-bench engine $(call into_docs,engine)
	$(BIN)/pranet-bench file "$(SOURCE)" --size 1920x1080 --soak 10000 $(call into_docs,file)
	$(BIN)/pranet-bench live "$(SOURCE)" --size 1920x1080 $(call into_docs,live)
	$(BIN)/pranet-bench load "$(SOURCE)" $(call into_docs,load)
	$(BIN)/pranet-bench scale "$(SOURCE)" $(call into_docs,scale)
	$(BIN)/pranet-bench glass $(call into_docs,glass)

# Sees the packages of the main one, of the same Python: a torch of its own would be gigabytes.
tests/tensorrt/.venv/.installed: tests/tensorrt/requirements.txt $(VENV)/.dev
	$(BIN)/python -m venv --clear tests/tensorrt/.venv
	$(BIN)/python -c "import site; print(*site.getsitepackages(), sep='\n')" > \
		"$$(tests/tensorrt/.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/main.pth"
	tests/tensorrt/.venv/bin/python -m pip install -qq --upgrade "pip>=25"
	tests/tensorrt/.venv/bin/python -m pip install -qq --no-deps --requirement $<
	touch $@

benchmarks/.venv/.installed: benchmarks/requirements.txt
	test -x benchmarks/.venv/bin/python || $(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/python -m pip install -qq --upgrade "pip>=25"
	benchmarks/.venv/bin/python -m pip install -qq --requirement $<
	touch $@

$(VENV)/.run: pyproject.toml
	$(call install,.)

$(VENV)/.demo: pyproject.toml
	$(call install,.[demo])

$(VENV)/.dev: pyproject.toml
	$(call install,.[dev])
	# Without its requirements: they would put an OpenCV without windows in the place of ours.
	$(BIN)/python -m pip install -qq --no-deps pysodmetrics==1.6.0
	touch $(VENV)/.run

# Checks first what pip cannot install: Python's venv, and two libraries that OpenCV loads.
define install
	sh tools/check-system.sh "$(PYTHON)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade "pip>=25"
	$(BIN)/python -m pip install -qq --editable "$(1)"
	touch $@
endef

clean:
	rm -rf $(VENV) benchmarks/.venv tests/tensorrt/.venv $(OUT) build *.egg-info
