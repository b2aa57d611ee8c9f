# One day, run by hold-day in the day's folder: make's variables are in the environment, and so are the names of the
# folder's files (h5 last inputs frames requested channels rejected parts copied), which the Python package gives.
# A file is rewritten only when its content changes, so a late frame reopens its day, and a day with nothing new costs a
# listing of its frames.  What a command writes it writes aside, syncs and renames, so no target is ever half-written
# and none need be deleted on an error.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Nor on a signal: a day that is stopped while it is told of has its file.
.PRECIOUS: $(h5) $(frames) $(last)
.PHONY: day FORCE
# What is written last tells that all is there: the summary or, with SUMMARY=no, a stamp.
day: $(last)

WINDOW := $(if $(START),--start "$$START" --end "$$END",--day "$$DAY" $(if $(MINUTES),--minutes "$$MINUTES"))
TELL := summarize --index "$$OUT" $(if $(filter no,$(SUMMARY)),--no-summary) --record .

ifdef CLOSED
# Frames of the day were pruned: only what its file tells can be told again.
$(h5): ;
else

ifdef SOURCE
# A day at a lower rate: what it is made from is the day file of SOURCE.
ifndef LISTED
$(frames): FORCE
	@$(BEGINS) resample-days "$$SOURCE" --first "$$DAY" --last "$$DAY" --spec "$$SPEC" --list |
	$(BEGINS) list-frames - --day "$$DAY" --table --update $@ --record .
endif

$(h5): $(inputs)
	@$(BEGINS) resample-days "$$SOURCE" --first "$$DAY" --last "$$DAY" --spec "$$SPEC" --rate "$$RATE" --least "$$LEAST" \
	  --compression "$$COMPRESSION" $(if $(filter yes,$(SHRINK)),--shrink) --out "$$OUT" --record . |
	$(BEGINS) $(TELL) -
else

# Which frames: one that is new, changed or gone changes this list, and nothing else does.  (LISTED: in a range the
# frames of all days have been listed in one go; what servers have to tell of those at URLs is asked now.)
LIST := $(WINDOW) --table --update $(frames) --record . $(if $(filter yes,$(RECALL)),--recall) \
  $(if $(filter yes,$(CHECK_REMOTE)),--check-remote)
ifndef LISTED
$(frames): FORCE
	@$(BEGINS) list-frames "$$FFL" $(LIST)
else ifneq ($(shell grep -ls :// $(frames)),)
$(frames): FORCE
	@$(BEGINS) list-frames $@ $(LIST)
endif

ALONE ?= 0.4

# Which channels the frames have (from a few of them: the reading itself finds the rest); then read, join and tell.
# Parts that a stopped run left are not read again, nor what still holds of an earlier result.
SHRINKS := $(if $(filter yes,$(SHRINK)),--shrink)
PRUNE := prune-channels $(frames) $(requested) --probe 8 --rejected $(rejected) --out $(channels) --record .
EXTRACT := extract-increment $(frames) $(channels) $(WINDOW) --increment "$$INCREMENT" --compression "$$COMPRESSION" \
  --retries "$$MAX_RETRIES" --keep "$$KEEP" --parts $(parts) --begun "$$BEGUN" --index "$$OUT" --record . $(SHRINKS)
JOIN := pad-merge $(parts) --follow --out $(h5) --spec "$$SPEC" --ffl "$$FFL" \
  --requested $(requested) --channel-list "$$CHANNELS" --rejected $(rejected) $(SHRINKS) --record .

# Most of a day file stays as it is when the day is made again: it is copied while that is planned, and pad-merge, which
# waits for the copy as it is locked, goes on with it; where it cannot be had, that copies.  With other settings nothing
# of it holds.  It is whole if it has the time of the file.  By its handle: one that comes too late leaves no file;
# hold-day removes one that is not used.
define COPY
{ mkdir -p $(parts) && rm -f $(copied); } 2>/dev/null || :
{ flock 8 && { { cp $(h5) /dev/fd/8 && touch -r $(h5) /dev/fd/8; } & disown; }; } 2>/dev/null 8>$(copied) || :
endef
COPIES := $(if $(KEEP),$(wildcard $(h5)))

# In one process where one core is this day's, or reading takes it no more than about ALONE seconds: others take longer
# to begin.  Else several read at once, and what joins and what tells run beside them: forks of the process that has
# planned the day, so that what they load is loaded once.  Of AT_ONCE days at once, each takes its share of the cores,
# unless a scheduler has given it CORES of its own.
$(h5): $(inputs)
	@$(if $(filter %/settings,$?),,$(if $(COPIES),$(COPY)))
	workers=$${CORES:-$$(( ($$(nproc) + $${AT_ONCE:-1} - 1) / $${AT_ONCE:-1} ))}
	alone=(); ((workers == 1)) || alone=(--alone $(ALONE))
	$(BEGINS) run-steps --at-once $$workers $(PRUNE) '|' $(EXTRACT) "$${alone[@]}" '|' $(JOIN) '|' $(TELL) -
endif
endif

# The pipe has told what came of it, unless it was stopped in between.
ifeq ($(SUMMARY),no)
$(last): $(h5)
	@$(BEGINS) $(TELL) $(h5) && touch $@
else
$(last): $(h5)
	@[[ $@ -nt $(h5) ]] || $(BEGINS) $(TELL) $(h5)
endif
