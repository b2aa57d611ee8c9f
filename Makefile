# framemake: gravitational-wave frame files in, daily HDF5 datasets out.
# `make help` lists what can be made; the rules of one day are in lib/make/day.mk.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

ROOT := $(patsubst %/,%,$(dir $(realpath $(firstword $(MAKEFILE_LIST)))))

# A site's own defaults, if there are any.
-include $(ROOT)/local.mk

# What a day is made from.  SETTINGS names every variable that a person may give.
SETTINGS := DAY START END FFL CHANNELS OUT SPEC INCREMENT COMPRESSION MAX_RETRIES CONFIG RESUME SUMMARY LOG_LEVEL LOCK_WAIT
SETTINGS += FRAMES STREAMS PORT ADDRESS ENGINE HOSTS SCRATCH CONCURRENCY STAGGER MEM_GUARD DRY_RUN LIMIT_DAYS MINUTES VENV TESTS
SETTINGS += DRY CRONTAB NIGHTLY MAILTO
OUT ?= out
SPEC ?= V1trend
INCREMENT ?= 600
COMPRESSION ?= lzf
MAX_RETRIES ?= 3
# Seconds that a second make on one day waits for the first.
LOCK_WAIT ?= 3600
# Where make serve answers: only this machine, unless another address is named.
PORT ?= 8100
ADDRESS ?= 127.0.0.1
export $(filter-out VENV TESTS,$(SETTINGS))

# What was typed goes before a settings file; a misspelt variable is refused, not ignored.
export GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
UNKNOWN := $(filter-out $(SETTINGS) MAKE% -%,$(GIVEN))
$(if $(UNKNOWN),$(error no such variable, see 'make help': $(UNKNOWN)))

# A value is what was typed: a $ in a file name is a $, not the beginning of a make variable.
$(foreach v,$(filter $(SETTINGS),$(GIVEN)),$(eval override $v := $$(value $v)))
# They reach the day's make through the environment, where lib/make/day has made the paths absolute.
MAKEOVERRIDES :=

# What is bash; the rest is Python.
SCRIPTS := $(addprefix lib/make/,setup checks day range build-day apart demo engine/*) lib/cron cron/nightly .ci/run

# The Python environment: .venv beside this file, VENV's, or, with VENV= (empty), the python3 on PATH.
ifeq ($(origin VENV),undefined)
  ENVIRONMENT := $(ROOT)/.venv
else
  export VENV
  ENVIRONMENT := $(if $(VENV),$(abspath $(VENV)))
endif
export PATH := $(if $(ENVIRONMENT),$(ENVIRONMENT)/bin:)$(ROOT)/bin:$(PATH)
READY := $(if $(ENVIRONMENT),$(ENVIRONMENT)/.framemake-requirements.lock)

.DEFAULT_GOAL := $(if $(DAY),day,help)
.PHONY: help day range streams serve install-cron remove-cron demo setup test test-long test-deps bench lint clean

help:  ## list the targets and variables
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(ROOT)/Makefile | expand -t 14
	@echo
	@echo 'make DAY=2024-04-10 FFL=trend.ffl CHANNELS=channels.txt [OUT=out] [SPEC=V1trend]'
	@echo '     [INCREMENT=600] [COMPRESSION=lzf|gzip|none] [MAX_RETRIES=3] [VENV=]'
	@echo 'make range -jN START=2024-04-10 END=2024-04-30 FFL=... CHANNELS=... [CONFIG=o4.toml] [DRY_RUN=yes]'
	@echo '     [ENGINE=local|ssh|slurm|condor] [LIMIT_DAYS=] [MINUTES=] [STAGGER=] [MEM_GUARD=] [RESUME=no]'
	@echo 'make streams FRAMES=... STREAMS=...'
	@echo 'make serve STREAMS=... [OUT=out] [PORT=8100] [ADDRESS=127.0.0.1]'
	@echo 'FFL is a frame file list, a LAL cache, a folder or gwdatafind://HOST/V/V1trend.'
	@echo 'local.mk, if there, sets defaults.'

# One make a day: it runs in the day's folder, under a lock that ends with its last process.
day: $(READY)  ## build the dataset of one UTC day: make DAY=2024-04-10 FFL=... CHANNELS=...
	@+exec $(ROOT)/lib/make/day $(MAKE) -f $(ROOT)/lib/make/day.mk

range: $(READY)  ## build the days from START to END, END included, N at once: make range -jN START=... END=...
	@+exec $(ROOT)/lib/make/range

needs = [[ $${$1-} ]] || { echo "make: $1 names no $2, want make $@ $1=..." >&2; exit 1; }

# The e-Lab's streams; a frame that cannot be used makes it exit 3, which make calls a failure.
streams: $(READY)  ## append new trend frames to the e-Lab's streams: make streams FRAMES=... STREAMS=...
	@$(call needs,FRAMES,tree of frames)
	@$(call needs,STREAMS,folder of streams)
	@exec $(ROOT)/bin/import-streams "$$FRAMES" "$$STREAMS"

# The days of OUT are shown as well, if there is such a folder.
serve: $(READY)  ## show streams and days in a browser, until Ctrl-C: make serve STREAMS=... [OUT=out] [PORT=8100]
	@$(call needs,STREAMS,folder of streams)
	@days=; if [[ -d $$OUT ]]; then days=$$OUT; fi; \
	exec $(ROOT)/bin/serve-streams "$$STREAMS" $${days:+--days "$$days"} --host "$$ADDRESS" --port "$$PORT"

# Only what is between the project's own markers changes; make -n or DRY=1 shows it and changes nothing.
install-cron:  ## put the nightly lines into your crontab [NIGHTLY=/etc/framemake/nightly.conf] [MAILTO=] [DRY=1]
	@+exec $(ROOT)/lib/cron install

remove-cron:  ## take them out again
	@+exec $(ROOT)/lib/cron remove

demo: $(READY)  ## write a day of trend frames with troubles, build it, show what came of it
	@+exec $(ROOT)/lib/make/demo $(MAKE)

setup: $(READY)  ## set up what the commands in bin/ need

ifneq ($(READY),)
$(READY): $(ROOT)/requirements.lock
	@$(ROOT)/lib/make/setup run
endif

test:  ## run the tests (TESTS="-k name" for some of them)
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && python3 -m pytest -q -n 2 -m 'not long' $(TESTS)

test-long:  ## run the tests that take minutes
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && python3 -m pytest -q -m long $(TESTS)

test-deps:  ## install the daemons and tools that the tests use (root or sudo)
	@$(ROOT)/lib/make/setup test-deps

bench:  ## measure against the floor and the peers (an hour, 20 GB)
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && python3 tests/bench/day.py && python3 tests/bench/ranges.py && python3 tests/bench/streams.py && python3 tests/bench/serve.py

lint:  ## check the code's form: ruff, shellcheck, shfmt
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && ruff check -q . && ruff format --check -q .
	@cd $(ROOT) && shellcheck -x $(SCRIPTS) && shfmt -d -i 2 -ci $(SCRIPTS)

clean:  ## remove what make demo wrote
	@rm -rf $(ROOT)/demo
