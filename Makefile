# Every target does its own set-up. `make demo` and `make test` are the two to know.
PY := .venv/bin/python

.PHONY: demo test test-long rig rig-pairing lint bench schemas lock clean

demo: ## one patient's five weeks, from a simulated meter on a pty to a billable unit
	@.ci/setup --no-programs
	@.venv/bin/inr-gateway demo

test: lint ## everything that is checked, in under five minutes
	$(PY) -m pytest -n 2 --dist worksteal -m "not long and not bench and not rig"

test-long: ## the long crash and soak forms, and new random examples
	@.ci/setup
	$(PY) -m pytest -m long --timeout 3600
	EXPLORE=1 $(PY) -m pytest -n 2 -m "not long and not bench and not rig" tests/unit tests/protocol

rig: ## meters on a real kernel's USB and Bluetooth, in a guest of its own; the first time builds its kernel (docs/rig.md)
	@.ci/rig

rig-pairing: ## pairing with the real bluetoothd, twenty times from the start
	@.ci/rig --times 20 test_ble -k TestPairing

fuzz: ## an hour of coverage-guided fuzzing, shared by all decoders; FUZZ_SECONDS=600 for less
	@.ci/setup --no-programs
	FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} $(PY) -m pytest -n 2 -s tests/fuzz

lint:
	@.ci/setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	$(PY) -m mypy

bench: ## measures speed beside the disk and the broker of this machine; see docs/benchmarks.md
	@.ci/setup
	$(PY) -m pytest -m bench -s --timeout 600

schemas: ## writes config/schemas from the models
	@.ci/setup --no-programs
	.venv/bin/inr-gateway schemas write config/schemas

lock: ## renews requirements.lock from pyproject.toml
	@.ci/setup --no-programs
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
