# make serve   set everything up and run the server on http://127.0.0.1:5000; more options in ARGS="..."
# make test    set everything up and run every test
# make lint    what CI demands of the code's form
# make fuzz    what a session may send, fuzzed for FUZZ_SECONDS
# PYTHON=...   another interpreter than python3 to make the sessions' environment from

CARGO ?= cargo
FUZZ_SECONDS ?= 60
VENV := .venv
TEST_VENV := .venv-test

.PHONY: serve test lint fuzz venv testsuite

serve: venv
	$(CARGO) build --release --locked
	exec target/release/eggbox serve --python $(VENV)/bin/python3 $(ARGS)

test: venv testsuite lint fuzz
	scripts/make-venv $(TEST_VENV) environments/test.txt
	EGGBOX_TEST_DATA_PYTHON=$(CURDIR)/$(VENV)/bin/python3 \
	EGGBOX_TEST_PACKAGES_PYTHON=$(CURDIR)/$(TEST_VENV)/bin/python3 \
	$(CARGO) test --locked --workspace

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	$(CARGO) clippy --locked --package eggbox-sandbox --features native -- --deny warnings

fuzz:
	scripts/fuzz wire $(FUZZ_SECONDS)

venv:
	scripts/make-venv $(VENV) environments/data.txt

# CPython's own regression suite, which Debian keeps in a package of its own.
testsuite:
	scripts/require-testsuite
