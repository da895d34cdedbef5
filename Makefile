# Everything runs in .venv, built on first use from requirements/lock.txt. Needs make and Python 3.10 to 3.13.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

# A sourced ROS distribution brings its own rclpy for the system's python3; otherwise ROS comes from PyPI.
ROS_DISTRO ?=
UNSOURCED := $(if $(ROS_DISTRO),,$(firstword $(wildcard /opt/ros/*/setup.bash)))
PYTHONS := $(if $(ROS_DISTRO),python3,python3.11 python3.12 python3.13 python3.10 python3)
USABLE := import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $(if $(ROS_DISTRO),14,13)))
PYTHON ?= $(firstword $(foreach python,$(PYTHONS),$(shell $(python) -c '$(USABLE)' 2>/dev/null && echo $(python))))
PROVIDER ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COLCON := $(BIN)/colcon --log-base build/log
CONSTRAINTS := $(if $(ROS_DISTRO),requirements/beside_ros.txt,requirements/lock.txt)

# Discovery stays on this machine, and numeric libraries leave the cores to the processes under test.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export OMP_NUM_THREADS ?= 1

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: $(VENV)/runtime.stamp ## Play the recording that ships here through the real node, with truth beside it
	$(BIN)/blur_imu demo

test: $(VENV)/test.stamp ## Run the whole test suite
	$(BIN)/python -m pytest

soak: $(VENV)/test.stamp ## Run the node for half an hour at 60 Hz and watch its memory
	$(BIN)/python -m pytest -s --timeout 0 test/soak.py

lint: $(VENV)/test.stamp ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

colcon: $(VENV)/test.stamp ## Build with colcon below build/, and see that `colcon test` runs
	$(COLCON) build --build-base build/colcon --install-base build/install --packages-select blur_imu_ros
	. build/install/setup.bash && $(COLCON) test --build-base build/colcon --install-base build/install \
		--packages-select blur_imu_ros --pytest-args test/test_sequence.py
	$(COLCON) test-result --test-result-base build/colcon --verbose

lock: ## Pin every requirement again (needs uv)
	uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-annotate --no-header \
		setup.py requirements/ros.txt requirements/training.txt --output-file requirements/lock.txt

clean: ## Remove the virtual environment and everything built
	rm -rf $(VENV) build install log *.egg-info

$(VENV)/runtime.stamp: setup.py setup.cfg requirements/lock.txt requirements/ros.txt \
		$(wildcard pip_ros/setup.py pip_ros/src/*/*.py)
	@test -z "$(UNSOURCED)" || { echo "make: ROS is installed but not sourced; first run: . $(UNSOURCED)" >&2; exit 1; }
	@test -n "$(PYTHON)" || { echo "make: no Python 3.10 to 3.13 with venv and pip found (on Debian or Ubuntu:" \
		"apt install python3-venv), or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Building $(VENV) with $(PYTHON) for $(PROVIDER) (once, about a minute)"
	$(PYTHON) -m venv --clear $(if $(ROS_DISTRO),--system-site-packages) $(VENV)
	$(PIP) --constraint $(CONSTRAINTS) setuptools wheel
ifeq ($(ROS_DISTRO),)
	$(PIP) --constraint $(CONSTRAINTS) --requirement requirements/ros.txt
	$(PIP) --constraint $(CONSTRAINTS) --no-build-isolation --no-deps ./pip_ros
endif
	$(PIP) --constraint $(CONSTRAINTS) --no-build-isolation --editable ".[$(PROVIDER)]"
	@touch $@

$(VENV)/test.stamp: $(VENV)/runtime.stamp requirements/training.txt
	$(PIP) --constraint $(CONSTRAINTS) --no-build-isolation --editable ".[$(PROVIDER),test,benchmark,convert]" \
		--requirement requirements/training.txt
	@touch $@

.PHONY: help demo test soak lint colcon lock clean
