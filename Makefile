# `make help` lists the targets. What they do is in tools/*.sh; nothing here needs more than a shell and apt.
SHELL := /bin/sh
PYTHON_BIN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-engine test-qgis test-qgis-latest lint types fuzz faults bench docs plugin translations lock audit sbom

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

setup: ## Make .venv with the engine and its tools (quick if nothing changed)
	@tools/setup.sh engine

demo: setup ## Map the sample landscape into demo/: mask, polygons, scores, picture
	.venv/bin/wsss-geo demo --data sample_data --out demo

test: setup ## Run all tests, those in QGIS too (installs Debian's QGIS if it is missing)
	@tools/setup.sh qgis
	@tools/test.sh

test-engine: setup ## Run the tests that need no QGIS
	@tools/test.sh engine

test-qgis: setup ## Run the tests of the plugin in the system's QGIS
	@tools/setup.sh qgis
	@tools/test.sh gui qgis

test-qgis-latest: setup ## Run the tests of the plugin in the newest QGIS of Debian, in a folder of its own (as root)
	@tools/setup.sh latest
	@tools/test.sh latest

fuzz: setup ## Try far more hostile input than the tests do (some minutes)
	OMP_NUM_THREADS=1 $(PYTHON_BIN) -m pytest tests/hostile --hypothesis-profile=fuzz --hypothesis-show-statistics

lint: setup ## Check style with ruff
	$(PYTHON_BIN) -m ruff check .

types: setup ## Check types with mypy
	$(PYTHON_BIN) -m mypy

faults: setup ## Kill tile, train and predict at 25 random moments each, and hinder them in other ways (about an hour)
	WSSS_GEO_FAULT_MOMENTS=25 OMP_NUM_THREADS=1 $(PYTHON_BIN) -m pytest tests/faults

bench: setup ## Measure polygons, prediction and training steps against other programs (some minutes)
	$(PYTHON_BIN) benchmarks/polygonize.py
	$(PYTHON_BIN) benchmarks/predict.py
	$(PYTHON_BIN) benchmarks/train_step.py

docs: setup ## Build the documentation: site/index.html
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

plugin: ## Build the QGIS plugin: dist/wsss_geo_segment.zip
	@python3 tools/package_plugin.py --zip dist/wsss_geo_segment.zip

translations: ## Collect the plugin's texts, compile its languages, say what lacks (needs lrelease of Qt)
	@python3 tools/translations.py update
	@python3 tools/translations.py release
	@python3 tools/translations.py check

lock: setup ## Write the lock files and constraints.txt anew with the newest versions that fit
	@tools/lock.sh

audit: setup ## Look for known weaknesses in the packages (asks the package index) and in the code
	@$(PYTHON_BIN) tools/audit.py

sbom: setup ## Write what the engine consists of as CycloneDX: dist/*.cdx.json
	@$(PYTHON_BIN) tools/sbom.py
