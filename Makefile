# Every target works from a bare checkout. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Which PyTorch build to install: cpu, or cu130 and the like. Empty: whatever the package index offers by default.
WHISKER_TORCH ?=
# Forced, as another build of the same version may be there; its dependencies come from the usual index, with the rest.
TORCH_BUILD := $(if $(WHISKER_TORCH),--force-reinstall --no-deps --index-url https://download.pytorch.org/whl/$(WHISKER_TORCH))
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
CORES := $(shell getconf _NPROCESSORS_ONLN)
# Processes that run tests: one per core, which it keeps to, but at least four, as many tests wait.
JOBS := $(shell echo $$(($(CORES) < 4 ? 4 : $(CORES))))
STAMP := $(VENV)/installed-$(or $(WHISKER_TORCH),default)

.DEFAULT_GOAL := help
.PHONY: help run test cluster check lint types imports docs audit licences format pins sbom wheels bench torture clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(STAMP)  ## install what is missing and serve the bundled checkpoint (port: WHISKER_PORT, or 8000)
	exec $(BIN)/whisker serve

# There are more processes than cores: PyTorch's threads must not spin while they wait for one another.
test: $(STAMP)-dev  ## install what is missing and run the tests with branch coverage
	$(BIN)/coverage erase
	OMP_WAIT_POLICY=PASSIVE $(BIN)/coverage run -m pytest -m "not alone" --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage run -m pytest -m alone $(shell grep -rl pytest.mark.alone tests)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

cluster: $(STAMP)-dev  ## run the tests that start a Ray Serve cluster: minutes, on a machine with nothing else to do
	TEST_RAY_SERVE=1 $(BIN)/python -m pytest tests/deploy/test_ray_serve.py

check: lint types imports docs audit licences test  ## everything that CI runs

lint: $(STAMP)-dev  ## formatting and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)-dev  ## static types, strict
	$(BIN)/mypy --num-workers $(CORES)

imports: $(STAMP)-dev  ## who may import whom
	$(BIN)/lint-imports

docs: $(STAMP)-dev  ## build the documentation in site/, strictly, and check that it asks nothing of other hosts
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python .ci/third_parties.py site

audit: $(STAMP)-dev  ## known vulnerabilities of what the Docker image installs; passes, and says so, without a network
	$(BIN)/python .ci/audit.py --requirement requirements-image.txt --requirement requirements-torch.txt

licences: $(STAMP)-dev  ## licences of what the Docker image installs; fails for the GPL, the AGPL and unknown ones
	$(BIN)/python .ci/licences.py requirements-image.txt requirements-torch.txt

sbom: $(STAMP)-dev  ## write whisker.cdx.json, the software bill of materials of the Docker image (CycloneDX)
	$(BIN)/python .ci/sbom.py whisker.cdx.json requirements-image.txt requirements-torch.txt

wheels: $(STAMP)-dev  ## build the wheels of both distributions into dist/
	$(BIN)/python .ci/wheels.py dist

format: $(STAMP)-dev  ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins: $(STAMP)  ## write what the Docker image installs, with hashes, from constraints.txt
	@$(PIP) uv
	$(BIN)/uv pip compile pyproject.toml --quiet --extra openvino --extra imagenet --constraint constraints.txt --universal \
		--python-version 3.11 --generate-hashes --no-header --no-annotate | $(BIN)/python .ci/pins.py

ifneq ($(filter bench,$(MAKECMDGOALS)),)
ifndef PHOTOS
$(error Say which photos to send: make bench PHOTOS=folder-of-jpegs [CHECKPOINT=file.safetensors])
endif
endif
bench: $(STAMP)-bench  ## measure serving beside its peers: PHOTOS=folder of JPEGs [CHECKPOINT=file] [PEERS_PYTHON=python with the peers]
	PEERS_PYTHON="$(PEERS_PYTHON)" $(BIN)/python -m benchmarks.serve "$(PHOTOS)" $(if $(CHECKPOINT),--checkpoint "$(CHECKPOINT)")

ifneq ($(filter torture,$(MAKECMDGOALS)),)
ifndef PHOTOS
$(error Say which photos honest clients send: make torture PHOTOS=folder-of-jpegs [CORPUS=folder-of-hostile-files] [QUICK=1])
endif
endif
torture: $(STAMP)-bench  ## put a server through hostile files, requests and clients: PHOTOS=folder of JPEGs [CORPUS=folders] [CHECKPOINT=file] [QUICK=1]
	$(BIN)/python -m benchmarks.reliability "$(PHOTOS)" $(foreach folder,$(CORPUS),--corpus "$(folder)") $(if $(CHECKPOINT),--checkpoint "$(CHECKPOINT)") $(if $(QUICK),--quick)

clean:  ## remove the environment and all caches
	rm -rf $(VENV) *.egg-info build site .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Older environments have the project installed as `whisker`.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Whisker needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip -qq uninstall --yes whisker
	@rm -f $(VENV)/installed-*
	@$(PIP) $(TORCH_BUILD) torch
	@$(PIP) --editable '.[openvino,imagenet]'
	@touch $@

# Not compiled by pip: Python compiles what is imported, which most of it never is.
$(STAMP)-dev: $(STAMP)
	@echo "Installing the development tools ..."
	@$(PIP) --no-compile --editable '.[dev,openvino,imagenet]'
	@touch $@

$(STAMP)-bench: $(STAMP)
	@echo "Installing what the benchmarks need ..."
	@$(PIP) --editable '.[bench]'
	@touch $@
