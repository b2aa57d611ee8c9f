# What was given on the command line, in the environment, in local.mk; how the project's programs are found.  The
# Makefile includes this first; each trick that it needs stands here, with its reason.

# A command that fails ends its recipe, in a pipe too; what a failed recipe began to write is removed.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# The built-in rules make nothing here, and looking through them takes time.
MAKEFLAGS += --no-builtin-rules --no-print-directory

# The checkout, from wherever make was called, also by a link to the Makefile.
ROOT := $(patsubst %/,%,$(dir $(realpath $(firstword $(MAKEFILE_LIST)))))

# A site's own defaults, if there are any, go before the project's.
-include $(ROOT)/local.mk
VARIABLES := $(ROOT)/lib/make/variables.mk
include $(VARIABLES)
SETTINGS := $(shell sed -n 's/^\([A-Z_]*\) ?=.*/\1/p' $(VARIABLES))
# The programs below read them from the environment, and a range writes down those that SETTINGS names.
export SETTINGS $(filter-out TESTS,$(SETTINGS))

# The names that were typed, not those from the environment: they go before a settings file.
export GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
# A misspelt variable is refused, not ignored.
UNKNOWN := $(filter-out $(SETTINGS) MAKE% -%,$(GIVEN))
$(if $(UNKNOWN),$(error no such variable, see 'make help': $(UNKNOWN)))

# A value is what was typed: a $ in a file name is a $, not the beginning of a make variable.
$(foreach v,$(filter $(SETTINGS),$(GIVEN)),$(eval override $v := $$(value $v)))
# A make that is called below would take them from MAKEFLAGS, as they were typed: it is to have them from the
# environment, where lib/make/checks has made the paths absolute.
MAKEOVERRIDES :=

# Both say that nothing is to be changed.
ifeq ($(DRY),)
  override DRY := $(filter yes,$(DRY_RUN))
endif

# Programs of the Python environment come first, then ours, so that nothing need be activated.
ENVIRONMENT := $(if $(VENV),$(abspath $(VENV)))
export PATH := $(if $(ENVIRONMENT),$(ENVIRONMENT)/bin:)$(ROOT)/bin:$(PATH)
# A program that only begins says in many lines that Ctrl-C has met it: what is called by $BEGINS meets it when it has
# begun, where env can have it wait (coreutils 8.31).
export BEGINS := $(shell env --block-signal=INT true 2>/dev/null && echo env --block-signal=INT)
# Newer than the list of packages if these are installed; with VENV= (empty) nothing is.
READY := $(if $(ENVIRONMENT),$(ENVIRONMENT)/.framemake-requirements.lock)

# $(call needs,NAME,what it is) refuses a target without its variable.
needs = [[ $${$1-} ]] || { echo "make: $1 names no $2, want make $@ $1=..." >&2; exit 1; }
