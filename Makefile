# framemake: gravitational-wave frame files in, daily HDF5 datasets and e-Lab streams out.
# `make help` lists targets and variables.  The rules of one day are in lib/make/day.mk.

# make takes a path with a space for several, so the checkout's has none; that is said before make stumbles over it.
HERE := $(realpath $(firstword $(MAKEFILE_LIST)))
$(if $(filter 11,$(words $(HERE))$(words $(wildcard $(dir $(HERE))lib/make/given.mk))),,$(error the path of the checkout \
must have no whitespace, move it: '$(or $(HERE),$(strip $(MAKEFILE_LIST)))'))
include $(dir $(HERE))lib/make/given.mk

.DEFAULT_GOAL := $(if $(DAY),day,help)
.PHONY: help day range crate report streams serve install-cron remove-cron demo install uninstall setup test test-quick test-long test-trees test-deps bench lint clean

help:  ## list the targets and variables
	@$(ROOT)/lib/make/help $(ROOT)/Makefile $(VARIABLES)

# One make a day: it runs in the day's folder, under a lock that ends with its last process.
day: $(READY)  ## build the dataset of one UTC day: make DAY=2024-04-10 FFL=trend.ffl CHANNELS=channels.txt
	@+exec $(ROOT)/lib/make/day

# The frames of all days are listed in one go, and an engine builds the days that have work to do.
range: $(READY)  ## build the days from FIRST to LAST, N at once: make range -jN FIRST=2024-04-10 LAST=2024-04-30 ...
	@+exec $(ROOT)/lib/make/range

# Inputs, settings, version and digests, from what the days tell; no sample is read.
crate: $(READY)  ## describe the finished days of OUT as an RO-Crate [FIRST=] [LAST=] [LICENSE=] [AGENT=]
	@exec $(ROOT)/bin/make-crate "$$OUT" --spec "$$SPEC" --license "$$LICENSE" --agent "$$AGENT" \
	  $${FIRST:+--first "$$FIRST"} $${LAST:+--last "$$LAST"}

# A day file is read once: what the report wants of it is kept in OUT.
report: $(READY)  ## show the days of OUT as a folder of pages for a browser: make report OUT=out [REPORT=report] [FIRST=] [LAST=]
	@exec $(ROOT)/bin/make-report "$$OUT" "$$REPORT" --spec "$$SPEC" $${STATE:+--state "$$STATE"} \
	  $${FIRST:+--first "$$FIRST"} $${LAST:+--last "$$LAST"}

# A frame that cannot be used makes it exit 3, which make calls a failure.
streams: $(READY)  ## append new trend frames to the e-Lab's streams: make streams FRAMES=... STREAMS=...
	@$(call needs,FRAMES,tree of frames)
	@$(call needs,STREAMS,folder of streams)
	@exec $(ROOT)/bin/import-streams "$$FRAMES" "$$STREAMS"

# The days of OUT are shown as well, if there is such a folder.
serve: $(READY)  ## show streams and days in a browser, until Ctrl-C: make serve STREAMS=... [OUT=out] [PORT=8100]
	@$(call needs,STREAMS,folder of streams)
	@days=; if [[ -d $$OUT ]]; then days=$$OUT; fi; \
	read -ra more <<< "$$SERVE"; \
	exec $(ROOT)/bin/serve-streams "$$STREAMS" $${days:+"$$days"} --host "$$ADDRESS" --port "$$PORT" "$${more[@]}"

# Only what is between the project's own markers changes; make -n or DRY_RUN=yes shows it and changes nothing.
install-cron:  ## put the nightly lines into your crontab [NIGHTLY=/etc/framemake/nightly.conf] [MAILTO=] [TAKE_OVER=yes] [DRY_RUN=yes]
	@+exec $(ROOT)/cron/install install

# The same markers: nothing else in the crontab changes, but what TAKE_OVER=yes commented out.
remove-cron:  ## take them out again [DRY_RUN=yes]
	@+exec $(ROOT)/cron/install remove

# The shortest way to see what comes out.
demo: $(READY)  ## write a day of trend frames with troubles, build it, show what came of it
	@+exec $(ROOT)/lib/make/demo $(MAKE)

# Links, which find this checkout and its environment; man pages and completion are made from the commands' options.
install: $(READY)  ## put the commands on PATH, with man pages and completion: make install PREFIX=$HOME/.local [DESTDIR=]
	@$(call needs,PREFIX,folder)
	@exec python3 $(ROOT)/lib/make/install.py install

# What install has put there and is as it was, and nothing else.
uninstall:  ## take them away again: make uninstall PREFIX=$HOME/.local [DESTDIR=]
	@$(call needs,PREFIX,folder)
	@exec python3 $(ROOT)/lib/make/install.py uninstall

setup: $(READY)  ## set up what the commands in bin/ need

# The packages are installed when their list has changed, and what is compiled is when its source has.  With VENV= (empty)
# nothing is installed, and setup checks what is there.
ifneq ($(READY),)
$(READY): $(ROOT)/requirements.lock $(wildcard $(ROOT)/lib/framemake/*/*.c $(ROOT)/lib/framemake/*/*/*.c)
	@$(ROOT)/lib/make/setup run
else
setup:
	@$(ROOT)/lib/make/setup run
endif

# Two for each core: a test that asks a server or a clock waits most of the time.  Each of them takes a quarter of a
# minute to compile the tests where Python may not keep what it has compiled.
test:  ## run the tests (TESTS="-k name" for some of them)
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && PYTHONDONTWRITEBYTECODE= python3 -m pytest -q -n 4 --dist worksteal -m 'not long' $(TESTS)

# What needs no daemon, no browser and no make of days.
test-quick:  ## run the quick tests (two minutes)
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && python3 -m pytest -q -n 2 -m quick $(TESTS)

# These kill hundreds of runs, and try properties on thousands of inputs.
test-long:  ## run the tests that take minutes
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && python3 -m pytest -q -m long $(TESTS)

# A pool of HTCondor, and what a person types on a machine as it is installed.
test-trees:  ## run those that need Debian 12 and 13 in trees of their own (root; half an hour the first time)
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && python3 -m pytest -q -m long tests/test_pools.py tests/test_fresh.py $(TESTS)

# A test whose daemon is not there is skipped; CI installs them all.
test-deps:  ## install the daemons and tools that the tests use (root or sudo)
	@$(ROOT)/lib/make/setup test-deps

# The numbers of the README.
bench:  ## measure against the floor and the peers (two hours, 40 GB)
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && for part in day cores ranges days packed streams serve; do python3 tests/bench/$$part.py; done

# What is bash; the rest is Python.
SCRIPTS := $(addprefix lib/make/,setup checks day range build-day apart demo help for-engines completion.bash engine/*) cron/install cron/nightly .ci/run
lint:  ## check the code's form and types: ruff, mypy, vermin, shellcheck, shfmt
	@$(ROOT)/lib/make/setup test
	@cd $(ROOT) && ruff check -q . && ruff format --check -q .
	@cd $(ROOT) && mypy --no-error-summary
	@cd $(ROOT) && vermin -q -t=3.10- --no-tips --violations lib bin cron
	@cd $(ROOT) && shellcheck -x $(SCRIPTS) && shfmt -d -i 2 -ci $(SCRIPTS)

clean:  ## remove what make demo wrote
	@rm -rf $(ROOT)/demo
