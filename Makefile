# Voicefleet. `make run` on a bare machine; `make test` is the whole suite; `make soak` the long proofs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps test-deps fetch run test soak bench bench-load

# Programs that the callers of the tests speak with; they are run, never linked.
CALLER_VOICES := espeak-ng flite
# Programs that the tests watch the worker with.
TEST_PROGRAMS := strace sipp baresip kamailio tshark
# A soft phone as a Python package (3.11 and later), where the tests look for it.
SOFT_PHONE := $${CARGO_TARGET_DIR:-target}/tmp/baresip-python

BUILT := $${CARGO_TARGET_DIR:-target}

help:
	@echo "make run    build, fetch the speech models, serve, place one demonstration call, stay up"
	@echo "make test   fetch, then the whole suite (15 minutes on two cores)"
	@echo "make soak   the long form of the proofs"
	@echo "make bench  criterion benches"
	@echo "make bench-load  load over SIP and WebSocket, a baseline, overload (25 minutes; wants a quiet machine)"

# Installs what is missing through apt where that is permitted; prints the one command otherwise. Debian starts Kamailio as soon as
# it is installed, at the port of our own SIP; masked, it stays a program that the tests run.
test-deps: PROGRAMS := $(TEST_PROGRAMS)
test-deps: deps
	@PYTHONPATH=$(SOFT_PHONE) python3 -c 'import baresip' 2>/dev/null || \
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --upgrade --target $(SOFT_PHONE) baresip-python==0.5.2a3
deps:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs, then run this again" >&2; exit 1; }
	@missing=""; for p in $(CALLER_VOICES) $(PROGRAMS); do PATH=$$PATH:/usr/sbin command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	python3 -m pip --version >/dev/null 2>&1 || missing="$$missing python3-pip"; \
	for p in npm cc; do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	missing="$${missing/ sipp/ sip-tester}"; missing="$${missing/ cc/ gcc libc6-dev}"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing:$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	    case "$$missing" in *kamailio*) mkdir -p /etc/systemd/system; ln -sn /dev/null /etc/systemd/system/kamailio.service 2>/dev/null || true;; esac; \
	    (apt-get install -y --no-install-recommends $$missing >/dev/null 2>&1 || { apt-get update -qq; apt-get install -y --no-install-recommends $$missing >/dev/null; }); \
	  else \
	    mask=""; case "$$missing" in *kamailio*) mask="sudo systemctl mask kamailio; ";; esac; \
	    echo "missing:$$missing. Run: $${mask}sudo apt-get install -y$$missing" >&2; exit 1; \
	  fi; \
	fi

fetch: deps
	cargo build --locked
	$(BUILT)/debug/voicefleet models fetch --test-voices

# Built first and by itself: it takes minutes, and cargo says how far it is.
run: deps
	cargo build --locked --release
	$(BUILT)/release/voicefleet demo

# The models are fetched by the program that the tests run: `cargo run` would build it once more, with fewer features of
# dependencies that both share.
# Spoken tests wait for speech most of the time, and the others for time-outs: they run beside each other. The one that holds a
# worker to a single frame of real time runs alone, last.
ALONE := barge_in::words_stop_the_bot_and_its_line_ends_where_it_was_heard_to_end
OTHERS := $(filter-out spoken,$(sort $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)) $(patsubst tests/%.rs,%,$(wildcard tests/*.rs))))
test: test-deps
	cargo test --locked --no-run
	$(BUILT)/debug/voicefleet models fetch --test-voices
	@heard=$$(mktemp); trap 'rm -f "$$heard"' EXIT; failed=0; \
	cargo test --locked --test spoken -- --skip $(ALONE) >"$$heard" 2>&1 & spoken=$$!; \
	cargo test --locked --no-fail-fast --lib --bins $(addprefix --test ,$(OTHERS)) || failed=1; \
	wait $$spoken || failed=1; cat "$$heard"; \
	cargo test --locked --test spoken -- --exact $(ALONE) || failed=1; \
	[ $$failed = 0 ] || { echo "make test: not every test passed; each that failed is named above" >&2; exit 1; }

soak: test-deps
	cargo test --locked --release --no-run
	$(BUILT)/release/voicefleet models fetch --test-voices
	VOICEFLEET_TEST_KILLS=200 cargo test --locked --release --test recorder_crash
	VOICEFLEET_TEST_FLOOD=10 cargo test --locked --release --test sip flood
	VOICEFLEET_WORKER_KILLS=20 cargo test --locked --release --test worker killed
	VOICEFLEET_TEST_ROW=10000 cargo test --locked --release --test worker in_a_row -- --nocapture
	cargo test --locked --release --test soak -- --ignored --nocapture --test-threads 1

bench:
	cargo bench --locked

# Every run is made and judged, whatever became of the one before.
LOAD := target/release/voicefleet bench
bench-load:
	cargo build --locked --release
	@failed=0; \
	$(LOAD) sip --steps 50,500 --step-s 30 || failed=1; \
	$(LOAD) sip --steps 500 --step-s 30 --baseline task-per-call || failed=1; \
	$(LOAD) sip --steps 1000 --warm-s 30 --step-s 600 --churn 20 || failed=1; \
	$(LOAD) sip --steps 600 --max-calls 400 --step-s 30 --overload || failed=1; \
	$(LOAD) ws --steps 50,400,625 --step-s 30 || failed=1; \
	exit $$failed
