# make serve   set everything up and run the server on http://127.0.0.1:5000; more options in ARGS="..."
# make test    set everything up and run every test
# make lint    what CI demands of the code's form
# make bench   set everything up, measure, and write table and plots into docs/benchmarks; some minutes
# make bench-quick   that all of it works; the times mean nothing
# make fuzz    what a session may send, fuzzed for FUZZ_SECONDS
# PYTHON=...   another interpreter than python3 to make the sessions' environment from

CARGO ?= cargo
FUZZ_SECONDS ?= 60
VENV := .venv
TEST_VENV := .venv-test
CLIENTS_VENV := .venv-clients
BENCH_VENV := .venv-bench
# For sessions without packages: not a wrapper around an interpreter, whose own time would be measured.
BENCH_BARE ?= $(firstword $(wildcard /usr/bin/python3) $(VENV)/bin/python3)
BENCH_OUT ?= docs/benchmarks
TEST_PYTHONS = EGGBOX_TEST_DATA_PYTHON=$(CURDIR)/$(VENV)/bin/python3 \
	EGGBOX_TEST_PACKAGES_PYTHON=$(CURDIR)/$(TEST_VENV)/bin/python3 \
	EGGBOX_TEST_CLIENTS_PYTHON=$(CURDIR)/$(CLIENTS_VENV)/bin/python3
BORN_ON_DEMAND = attacks capacity checkpoints control_groups create_session data delete_session environments execute forks isolation input limits pool restart \
	seed session_limits shutdown state streams workspace
BENCH_PYTHONS = --python $(VENV)/bin/python3 --yardsticks-python $(BENCH_VENV)/bin/python3 --bare-python $(BENCH_BARE)

.NOTPARALLEL:
.PHONY: serve test lint bench bench-quick fuzz venv venv-bench testsuite

serve: venv
	$(CARGO) build --release --locked
	exec target/release/eggbox serve --python $(VENV)/bin/python3 $(ARGS)

# The second run is of what only the nests' library has, the third of what depends on how sessions come to be: there without
# those that are made ahead. The fourth is of what only a build for OpenTelemetry has.
test: venv testsuite lint
	scripts/make-venv $(TEST_VENV) environments/test.txt
	scripts/make-venv $(CLIENTS_VENV) environments/clients.txt
	$(TEST_PYTHONS) $(CARGO) test --locked --workspace
	$(CARGO) test --locked --package eggbox-sandbox --features native --lib native::
	EGGBOX_TEST_POOL=off $(TEST_PYTHONS) $(CARGO) test --locked --package eggbox --test it -- $(BORN_ON_DEMAND)
	$(TEST_PYTHONS) $(CARGO) test --locked --package eggbox --features otel --test it -- traces
	$(MAKE) bench-quick fuzz

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	$(CARGO) clippy --locked --package eggbox-sandbox --features native --all-targets -- --deny warnings
	$(CARGO) clippy --locked --package eggbox --package eggbox-server --features eggbox/otel --all-targets -- --deny warnings

bench: venv venv-bench
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --package eggbox --example load -- \
	--eggbox target/release/eggbox $(BENCH_PYTHONS) --out $(BENCH_OUT) $(ARGS)
	$(VENV)/bin/python3 bench/plot.py $(BENCH_OUT)

bench-quick: venv venv-bench
	$(CARGO) build --locked --workspace --bins --examples
	target/debug/examples/load --quick --eggbox target/debug/eggbox $(BENCH_PYTHONS) --out target/bench-quick
	$(VENV)/bin/python3 bench/plot.py target/bench-quick

fuzz:
	scripts/fuzz wire $(FUZZ_SECONDS)

venv:
	scripts/make-venv $(VENV) environments/data.txt

venv-bench:
	scripts/make-venv $(BENCH_VENV) environments/bench.txt

# CPython's own regression suite, which Debian keeps in a package of its own.
testsuite:
	scripts/require-testsuite
