# One day, run by lib/make/day in the day's folder, which names the settings in the environment.
# A file is rewritten only when its content changes, so a late frame reopens its day, and a day with
# nothing new costs a listing of its frames.  What a command writes it writes aside, syncs and renames, so no
# target is ever half-written and none need be deleted on an error.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

.PHONY: day FORCE
# What tells that all is there; with SUMMARY=no there is no summary that could.
TOLD := $(if $(filter no,$(SUMMARY)),.work/told,$(NAME).summary.json)
day: $(TOLD)

WINDOW := $(if $(START),--start "$$START" --end "$$END",--day "$$DAY" $(if $(MINUTES),--minutes "$$MINUTES"))
TELL := summarize --index "$$OUT" $(if $(filter no,$(SUMMARY)),--no-summary) --record .

ifdef CLOSED
# Frames of the day were pruned: only what its file tells can be told again.
$(NAME).h5: ;
else

# Which frames: a frame that is new, changed or gone changes this list, and nothing else does.
# In a range all days' frames have been listed in one go (LISTED).
.work/frames.tsv: FORCE
ifdef LISTED
	@cmp -s .work/listed.tsv $@ || { cp .work/listed.tsv $@.tmp && mv $@.tmp $@; }
else
	@list-frames "$$FFL" $(WINDOW) --table --update $@ --record .
endif

# Which channels were asked for: CHANNELS, or the copy of it that came with the day to a machine that shares no OUT.
.work/requested.txt: FORCE
	@list=$${REQUESTED:-$$CHANNELS}
	cmp -s "$$list" $@ || { cp "$$list" $@.tmp && mv $@.tmp $@; }

# The settings that shape the day.
.work/settings: FORCE
	@[[ -f $@ && "$$(<$@)" == "$$SHAPE" ]] || { echo "$$SHAPE" >$@.tmp && mv $@.tmp $@; }

# Which channels the frames have (from a few of them: the reading itself finds the rest); then read, join and tell in
# one pipe.  Parts that a stopped run left are not read again, nor what still holds of an earlier result.
# The channels do not come by parallel --tee: its fifos outlive a kill -9, and what waits at one holds the day's lock.
# Nor does parallel get the lock: a kill -9 as it starts leaves a sleep of hours behind.  What it runs ends with the pipe.
# GNU parallel knows no jobserver: of AT_ONCE days at once, each takes its share of the cores, unless a scheduler has
# given it CORES of its own.
$(NAME).h5: .work/requested.txt .work/frames.tsv .work/settings
	@workers=$${CORES:-$$(( ($$(nproc) + $${AT_ONCE:-1} - 1) / $${AT_ONCE:-1} ))}
	prune-channels .work/requested.txt .work/frames.tsv --probe 8 --rejected .work/rejected.tsv \
	  --out .work/channels.tsv --record .
	seq $$workers | parallel --will-cite --quote --ungroup -j $$workers \
	  extract-increment .work/frames.tsv .work/channels.tsv $(WINDOW) --increment "$$INCREMENT" --compression "$$COMPRESSION" \
	  --retries "$$MAX_RETRIES" --keep "$$KEEP" --parts .work/parts --begun "$$BEGUN" --index "$$OUT" --record . \
	  --share {}/$$workers 9>&- |
	pad-merge .work/parts --follow --out $@ --spec "$$SPEC" --ffl "$$FFL" \
	  --requested .work/requested.txt --channel-list "$$CHANNELS" \
	  --rejected .work/rejected.tsv --record . |
	$(TELL) -
endif

# The pipe has told what came of it, unless it was stopped in between.
$(NAME).summary.json: $(NAME).h5
	@[[ $@ -nt $(NAME).h5 ]] || $(TELL) $(NAME).h5

.work/told: $(NAME).h5
	@$(TELL) $(NAME).h5 && touch $@
