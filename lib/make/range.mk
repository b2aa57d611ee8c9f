# Days of a range on one machine, run by lib/make/engine/local: a bad day stops only itself (-k), -jN runs N at once.

SHELL := bash
MAKEFLAGS += --no-builtin-rules --no-print-directory --silent
DAYS := $(shell cat "$$RUN_DAYS")

.PHONY: all $(DAYS)
all: $(DAYS)

# Why a day failed stands in its state, where run-range reads it.
$(DAYS):
	$(dir $(realpath $(firstword $(MAKEFILE_LIST))))build-day "$$RUN_SETTINGS" $@
