# make demo      sets everything up and shows the whole job against servers on this machine
# make test      sets everything up, then runs every check and every test (AT_A_TIME=0: one after the other)
# make quick     the checks and the tests that need no server, in half a minute: what one runs while working
# make test-all  that, with the tests that take long
# make prove     what docs/evidence/reliability.md and docs/evidence/scale.md tell of: the long proofs, all in a row; takes hours
# make fuzz      hostile input for one parser: make fuzz TARGET=listing SECONDS=300
# make lambda    builds the zips of the AWS Lambda function into dist/
# make bench     measures, beside the tools people use instead, and writes docs/evidence/benchmarks.md (best on a quiet machine)
# make bench-reading  measures the commands that read in the same way, and writes docs/evidence/reading.md
# make docs-reference  writes the pages of docs/reference that follow from the program's options
# make docs      makes the site of docs/ into site/; a broken link or a missing heading is an error
# make transcripts     runs the commands in README.md and docs/guide and writes what they print (takes a minute)
# make mistakes        makes every mistake in tests/support/mistakes and writes docs/reference/mistakes.md (on a quiet machine)
# make screenshots     shows sample pages of a plan and a report in Chromium and keeps pictures of them in docs/images
# make terraform-module  writes the Terraform module as its registry wants it, into dist/terraform-aws-s3-log-roller
# make check     the linters and the type checker only
# make dist      builds what is released into dist/: wheel, sdist, zips, what is in the zips (SBOM), SHA-256 sums; checks them
# make install   the program alone, into .venv
# make lock      writes requirements/*.lock anew (make lock UPGRADE=--upgrade takes newer versions)
# make clean     removes what the above made
#
# The Python is the first of python3, python3.14 … python3.11 that is new enough; PYTHON=… names another.

SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
BIN := .venv/bin
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

.PHONY: demo test quick test-all prove fuzz bench bench-reading docs docs-reference mistakes screenshots transcripts \
    check workflows install lambda \
    dist terraform-module github-release lock clean
.DELETE_ON_ERROR:

demo: .venv/.demo-installed
	@$(BIN)/s3-log-roller demo

# So many tests at a time; each of them has servers of its own. Who has nothing left takes over from the others.
AT_A_TIME ?= 4
test: check
	@$(BIN)/python -m compileall -q src bench  # once; else each process does it where Python is told to write no bytecode
	$(BIN)/pytest -n $(AT_A_TIME) --dist worksteal

quick: check
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not heavy" tests/unit

test-all: check
	$(BIN)/pytest -m "" -rs

# Each part runs, whatever became of those before it; survivors among the mutants are for a person to judge.
prove: .venv/.dev-installed
	@failed=; \
	for proof in "python -m proof.simulate" "pytest -m slow -rs" "pytest --hypothesis-profile=searching tests/unit" \
	    "python -m proof.mutate" "python -m proof.scale_here logs" \
	    "python -m proof.scale_here scan"; do \
	    echo "== $$proof"; $(BIN)/$$proof || failed="$$failed; $$proof"; \
	done; \
	[ -z "$$failed" ] || { echo "Not as it should be$$failed" >&2; exit 1; }

TARGET ?= listing
SECONDS ?= 300
fuzz: .venv-fuzz/.installed
	PYTHONPATH=src:. .venv-fuzz/bin/python fuzz/run.py $(TARGET) -max_total_time=$(SECONDS)

# An environment of its own, in two steps: the lock file knows no hash of atheris, which is no dependency of the project.
.venv-fuzz/.installed: requirements/query.lock .venv/.created
	@$(BIN)/uv venv -q --allow-existing --python $(BIN)/python .venv-fuzz
	@$(BIN)/uv pip install -qq --python .venv-fuzz/bin/python --require-hashes -r $<
	@$(BIN)/uv pip install -qq --python .venv-fuzz/bin/python atheris
	@touch $@

bench: .venv-bench/.installed
	PYTHONPATH=src .venv-bench/bin/python -m bench.run

bench-reading: .venv-bench/.installed
	PYTHONPATH=src .venv-bench/bin/python -m bench.read_side

# Environments of their own: the AWS command line wants a botocore of its own, and few need what a release needs.
.venv-bench/.installed .venv-publish/.installed: .venv-%/.installed: requirements/%.lock .venv/.created pyproject.toml
	@$(BIN)/uv venv -q --allow-existing --python $(BIN)/python .venv-$*
	@$(BIN)/uv pip install -qq --python .venv-$*/bin/python --require-hashes -r $<
	@touch $@

docs-reference: .venv/.dev-installed
	$(BIN)/python docs/write_reference.py
	$(BIN)/python deploy/write_readmes.py

mistakes: .venv/.dev-installed
	$(BIN)/python -m docs.write_mistakes

screenshots: .venv/.dev-installed
	$(BIN)/python -m docs.write_screenshots

transcripts: .venv/.dev-installed
	$(BIN)/python docs/write_transcripts.py

docs: .venv-publish/.installed
	.venv-publish/bin/sphinx-build -c docs/site -n -W --keep-going -E -q -b html docs $(SITE)

SITE ?= site

lambda: .venv/.created
	$(BIN)/python deploy/build_lambda.py --arch arm64 --output dist/s3-log-roller-lambda-arm64.zip
	$(BIN)/python deploy/build_lambda.py --arch x86_64 --output dist/s3-log-roller-lambda-x86_64.zip

terraform-module: .venv/.created
	$(BIN)/python -m deploy.write_module dist/terraform-aws-s3-log-roller

dist: lambda .venv-publish/.installed
	rm -f dist/*.whl dist/*.tar.gz
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist
	.venv-publish/bin/twine check --strict dist/*.whl dist/*.tar.gz
	.venv-publish/bin/python -m deploy.describe_release dist

# The workflow `release` calls it, with the files that `make dist` built and the tag they were built from.
github-release:
	gh release create "$(TAG)" --verify-tag --title "$(TAG)" --generate-notes dist/*

check: .venv/.dev-installed workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@! grep -nE '://|^-|file:' requirements/*.lock || { echo "requirements/*.lock: versions and hashes only" >&2; exit 1; }

workflows: .venv/.dev-installed .venv/.actionlint-tried
	$(BIN)/zizmor --offline --quiet .github
	@if [ -x $(BIN)/actionlint ]; then echo $(BIN)/actionlint; $(BIN)/actionlint; \
	    else echo "actionlint is not installed, so the workflows were checked by zizmor only" >&2; fi

# What pip installs downloads the program from GitHub. Machines that cannot reach GitHub go without.
.venv/.actionlint-tried: requirements/actionlint.lock .venv/.created
	@$(BIN)/uv pip install -qq --python $(BIN)/python --require-hashes -r $< 2>/dev/null || true
	@touch $@

install: .venv/.runtime-installed
	@echo "Installed: $(BIN)/s3-log-roller"

clean:
	rm -rf .venv .venv-bench .venv-fuzz .venv-publish .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist site

.venv/.created: requirements/build.lock
	@for python in $(CANDIDATES); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Setting up .venv with $$("$$python" --version)"; \
	        "$$python" -m venv --clear .venv && \
	        $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/build.lock && \
	        touch $@ && exit 0; \
	        rm -rf .venv; exit 1; \
	    fi; \
	done; \
	echo "No Python 3.11 or newer with the venv module found (tried: $(CANDIDATES))." >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=/path/to/python" >&2; \
	exit 1

# uv takes half the time of pip, but reads none of pip's settings (mirrors, proxies): where it fails, pip gets its turn.
.venv/.%-installed: requirements/%.lock .venv/.created pyproject.toml
	@echo "Installing $<"
	@$(BIN)/uv pip install -qq --compile-bytecode --python $(BIN)/python --require-hashes -r $< 2>/dev/null \
	    || $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

COMPILE = env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS -u UV_CONSTRAINT \
    -u UV_OVERRIDE $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-header --no-emit-index-url $(UPGRADE)

# One set of versions for all: dev.lock is resolved, the others are parts of it. `uv.lock` would name the registry.
lock: .venv/.created
	$(COMPILE) --extra crc64nvme --extra demo --extra dev --extra query --extra report --group build -o requirements/dev.lock pyproject.toml
	$(COMPILE) -c requirements/dev.lock --extra demo -o requirements/demo.lock pyproject.toml
	$(COMPILE) -c requirements/dev.lock -o requirements/runtime.lock pyproject.toml
	$(COMPILE) -c requirements/dev.lock --extra query -o requirements/query.lock pyproject.toml
	$(COMPILE) -c requirements/dev.lock --group build -o requirements/build.lock
	$(COMPILE) --extra bench -o requirements/bench.lock pyproject.toml
	$(COMPILE) -c requirements/dev.lock --group lambda -o requirements/lambda.lock
	$(COMPILE) -c requirements/dev.lock --group publish -o requirements/publish.lock
	$(COMPILE) --group workflows -o requirements/actionlint.lock
	@! grep -nE '://|^-|file:' requirements/*.lock
