# Every command that a developer or the build server needs; what a command does lies in app/, tests/, bench/ or .ci/.
# `make` alone lists them. PYTHON=<path> chooses the Python for .venv (3.11 or newer).

.DEFAULT_GOAL := help
.PHONY: help run demo venv test test-all test-windows test-monitoring monitoring-table lint format hooks bench soak chaos fuzz openapi docs pictures messages assets wheel lock relay msi reporter clean

BIN := .venv/bin
# Each file's tests run in one worker: the tests of a file share the services that they start.
TOGETHER := --dist loadfile --no-loadscope-reorder
LOCKED := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --quiet pyproject.toml

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

# The stamps make a second run instant. The test lock holds the runtime lock, so one .venv serves both.
.venv/.runtime: requirements.lock pyproject.toml .ci/venv
	@.ci/venv requirements.lock
	@touch $@

.venv/.test: requirements-test.lock pyproject.toml .ci/venv
	@.ci/venv requirements-test.lock
	@touch .venv/.runtime $@

.venv-docs/.docs: requirements-docs.lock .ci/venv
	@.ci/venv requirements-docs.lock .venv-docs
	@touch $@

.venv-tools/.tools: requirements-tools.lock .ci/venv
	@.ci/venv requirements-tools.lock .venv-tools
	@touch $@

run: .venv/.runtime ## start the service on its embedded database
	@exec $(BIN)/tocsin serve

demo: .venv/.runtime ## show it: a made-up fleet reports to the service that `make run` started
	@exec $(BIN)/tocsin demo

venv: .venv/.test ## make .venv with everything that tests need

test: .venv/.test ## the tests that are not slow and whose programs are installed; lists what it skipped at the end. ARGS="-k smtp -x" is passed to pytest
	@$(BIN)/python -m pytest -n 4 $(TOGETHER) $(ARGS)

test-all: .venv/.test .venv-tools/.tools ## every test, also those that take long; installs the programs it needs (as root, by apt) or names them
	@.ci/packages
	@$(BIN)/python -m pytest -n 2 $(TOGETHER) --all $(ARGS)

test-windows: .venv/.test ## the Windows relay under Wine, with more kills than test-all
	@WINDOWS_KILLS=1 $(BIN)/python -m pytest tests/windows --all $(ARGS)

test-monitoring: .venv/.test ## watch the service by real monitoring programs (Prometheus, Nagios, Zabbix ...) and measure them; installs them (as root, by apt) or names them
	@.ci/packages
	@rm -rf build/monitoring
	@$(BIN)/python -m pytest tests/monitoring --all $(ARGS)

monitoring-table: .venv/.runtime ## write the README's table of monitoring systems from what the last test-monitoring measured
	@$(BIN)/python -m docs.monitoring_table

lint: .venv/.test ## style, types and the order of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/.test ## format all files and fix what ruff can fix
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

hooks: .venv/.test ## check each commit before it is made: style, types, import order, house rules
	@git config core.hooksPath .githooks

bench: .venv/.test ## measure what the documents claim
	@$(BIN)/python -m bench $(ARGS)

soak: .venv/.test ## run for 30 minutes at 300 events a second, and see that memory stays; ARGS="5 postgresql" is shorter, on the other database
	@$(BIN)/python -m bench.soak $(ARGS)

chaos: .venv/.test ## kill processes and databases, 60 rounds a database, and count what was lost; CHAOS_ROUNDS=20 is shorter
	@CHAOS_ROUNDS=$${CHAOS_ROUNDS:-60} $(BIN)/python -m pytest tests/chaos --all $(ARGS)

fuzz: .venv/.test ## send any bytes to each dialect for a minute; ARGS="-k loki" picks some
	@$(BIN)/python -m pytest tests/fuzz --fuzz-s 60 $(ARGS)

openapi: .venv/.runtime ## write the published schema
	@mkdir -p openapi
	@$(BIN)/python -m app.cli openapi > openapi/openapi.json.new
	@mv openapi/openapi.json.new openapi/openapi.json

docs: .venv-docs/.docs ## build the documentation site into build/site; fails on a broken link
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet

pictures: .venv/.test ## make the pictures of the documents from the demo; needs Chromium, Prometheus and pngquant
	@$(BIN)/python -m docs.pictures

# Texts that pages show and other parts use too.
TEXTS_ELSEWHERE := ../../compose/error_text.py ../../domain/expectation.py ../../domain/zone_hint.py ../../deliver/transports/remedies.py ../../deliver/transports/smtp_refusals.py
messages: .venv/.test ## find new texts of the pages and put them into the catalogs of all languages, for you to translate
	@$(BIN)/python .ci/templates
	@cd app/http/pages && $(CURDIR)/$(BIN)/pybabel --quiet extract --no-location --omit-header --sort-output -F locale/babel.cfg -o locale/pages.pot . $(TEXTS_ELSEWHERE)
	@cd app/http/pages && $(CURDIR)/$(BIN)/pybabel --quiet update --no-fuzzy-matching --omit-header --no-wrap -D pages -i locale/pages.pot -d locale
	@rm app/http/pages/locale/pages.pot

assets: ## take the files of the pages from npm again, in the versions that app/http/pages/assets/vendor.json lists
	@python3 .ci/assets

wheel: .venv/.runtime ## build dist/*.whl, with migrations, templates and the programs for other hosts
	@rm -rf build/lib && $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist .

lock: ## resolve the lock files again (needs uv); UPGRADE=--upgrade takes newer versions
	@$(LOCKED) $(UPGRADE) --group build -o requirements.lock
	@$(LOCKED) $(UPGRADE) --group build --group test -c requirements.lock -o requirements-test.lock
	@$(subst pyproject.toml,--group pyproject.toml:tools,$(LOCKED)) $(UPGRADE) -o requirements-tools.lock
	@$(subst pyproject.toml,--group pyproject.toml:docs,$(LOCKED)) $(UPGRADE) -o requirements-docs.lock

relay: .venv/.runtime ## build dist/tocsin-relay.pyz, the program for the Windows mail host
	@$(BIN)/python -m app.core.pyz relay dist

msi: .venv/.runtime ## build dist/tocsin-relay-x64.msi, the relay with its own Python (needs wixl); ARGS="--arch x86 --python ZIP" builds the other
	@$(BIN)/python -m deploy.windows.msi $(ARGS)

reporter: .venv/.runtime ## build dist/tocsin-report.pyz, the program for backup hosts
	@$(BIN)/python -m app.core.pyz reporter dist

clean: ## remove what can be made again; var/ (data) stays
	@rm -rf .venv .venv-docs .venv-tools build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
