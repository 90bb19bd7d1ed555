# One word for everything a maintainer does. `make` alone lists the words.

.DEFAULT_GOAL := help
PYTHON ?= python3
PY := .venv/bin/python
STAMP := .venv/.installed
TESTS := tests/unit tests/integration tests/acceptance
# Test processes; each has a RabbitMQ of its own. A file stays in one: what its tests share is started once.
JOBS ?= 2
# Another RabbitMQ than this machine's own, for every word that starts one: 3.10, 4.0 or 4.3. Needs root; kept in ~/.cache/sttd.
ifdef BROKER
export TEST_BROKER := $(BROKER)
endif
# The second engine in place of Whisper: onnx. The unit tests choose their engines themselves.
ifdef ENGINE
export STTD_TEST_ENGINE := $(ENGINE)
TESTS := tests/integration tests/acceptance
endif

.PHONY: help setup demo run test test-slow test-unit test-cpus test-real chaos hostile alerts browser upgrade image-rootfs image-check compose-check systemd-check lint types contract check lock clean bench dist

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## build .venv from requirements.lock (nothing to do when it is current)

$(STAMP): requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" tools/bootstrap.sh
	@touch $@

demo: setup ## sample voice notes through a real RabbitMQ and the real model base, end to end
	@$(PY) -m tools.start demo

run: setup ## stay up: RabbitMQ and the daemon, until Ctrl-C
	@$(PY) -m tools.start run

# Programs that some tests ask first: installing them would take longer than a test's time limit.
test-programs: setup
	@$(PY) -m tools.rabbitmq install
	@$(PY) -m tools.program promtool prometheus
	@$(PY) -m tools.program systemd-analyze systemd
	@$(PY) -m tools.examples

test: test-programs ## unit, integration (real RabbitMQ) and acceptance (the daemon as a process) tests, in under five minutes
	@$(PY) -m pytest -n $(JOBS) --dist loadfile --durations=10 -m "not slow" $(TESTS)

test-slow: test-programs ## those that take longer: whole environments, benchmarks, many lives of a daemon, 200 notes
	@$(PY) -m pytest -n $(JOBS) --dist worksteal --durations=10 -m slow $(TESTS)

test-unit: setup ## the quick tests: no broker, no model
	@$(PY) -m pytest tests/unit

test-real: setup ## the real base over human voices: texts beside stock faster-whisper's, sounds without speech, long notes
	@$(PY) -m tools.rabbitmq install
	@$(PY) -m tools.program festival festvox-ru
	@$(PY) -m pytest --durations=10 tests/real

test-cpus: setup ## the engine's tests at each level of CPU that this machine has
	@$(PY) -m tools.cpus

CHAOS := SEED KILLS TERMS FAULTS SLOW POINTS MATRIX PROPERTIES BODIES RATE HOLD POLL RESULTS
chaos: setup ## faults under load; no confirmed request may be lost (longer: make chaos KILLS=100 FAULTS=10, see tests/chaos/README.md)
	@$(PY) -m tools.rabbitmq install
	@$(foreach knob,$(CHAOS),$(if $($(knob)),CHAOS_$(knob)="$($(knob))")) $(PY) -m pytest -n $(JOBS) --dist worksteal --show-capture=no --durations=10 tests/chaos

HOSTILE := DAMAGE FUZZ FAMILY
hostile: setup ## damaged files, bombs, fuzz, confinement (all: make hostile DAMAGE=200 FUZZ=100000 FAMILY=720, see docs/benchmarks/faults.md)
	@$(PY) -m tools.program strace strace
	@$(foreach knob,$(HOSTILE),$(if $($(knob)),HOSTILE_$(knob)="$($(knob))")) $(PY) -m pytest --durations=5 tests/hostile

upgrade: setup ## replace daemons one by one under load, and print how long answers take (old code from git: make upgrade FROM=HEAD~40 NOTES=200)
	@$(PY) -m tools.rabbitmq install
	@UPGRADE_FROM="$(FROM)" UPGRADE_NOTES="$(or $(NOTES),90)" UPGRADE_RATE="$(or $(RATE),3)" $(PY) -m pytest -s tests/acceptance/test_rolling_upgrade.py

image-rootfs: ## build the image's root file system without Docker (root, Debian; TARGET=cpu, cuda or gateway)
	@deploy/image/build.sh $(or $(TARGET),cpu)

image-check: setup ## run the daemon from that root file system, hardened, against a real RabbitMQ
	@$(PY) -m tools.rabbitmq install
	@$(PY) -m tools.image_check

compose-check: setup ## start docker-compose.yml on a Docker engine of its own: build, answers, kills, down and up (root)
	@$(PY) -m tools.examples
	@$(PY) -m tools.compose_check

systemd-check: setup ## start deploy/systemd's units by a real systemd: sandbox, memory limit, watchdog, a wrong setting (root)
	@$(PY) -m tools.rabbitmq install
	@$(PY) -m tools.systemd_check

alerts: setup ## see every alert fire for a real fault, and resolve; writes docs/alerts.md (about 5 minutes)
	@$(PY) -m tools.rabbitmq install
	@$(PY) -m tools.program promtool prometheus
	@$(PY) -m pytest -s --show-capture=no tests/alerts

browser: setup ## look at the pages with a headless Chromium: no console error, no outside request (pictures: .local/pictures)
	@$(PY) -m tools.rabbitmq install
	@$(PY) -m tools.program chromium chromium
	@$(PY) -m pytest tests/browser

bench: setup ## the headline of the benchmarks, on a quiet machine: 25 minutes (others: make bench ARGS=--help)
	@$(PY) -m bench $(ARGS)

dist: test-programs ## build sdist and wheel in dist/, install each in a fresh environment, run the README's client there
	@rm -rf dist
	@$(PY) -m hatchling build -d dist
	@DIST=dist $(PY) -m pytest tests/acceptance/test_wheel.py

lint: setup ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: setup ## mypy --strict
	@$(PY) -m mypy

contract: setup ## write docs/contract/, docs/settings.md and docs/metrics.md from the code
	@$(PY) -m tools.contract write

check: lint types ## lint, types, direction of imports, committed contract
	@$(PY) -m pytest --quiet tests/unit/test_layers.py tests/unit/test_contract_files.py

lock: ## resolve requirements.lock and the locks of image and benchmark anew (needs the package index)
	@$(PYTHON) -m tools.lock

clean: ## remove everything that make built or a run left
	@rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis dist examples/node/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
