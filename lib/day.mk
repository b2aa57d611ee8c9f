# One day, run by lib/day in the day's folder, which names the settings in the environment.
# A file is rewritten only when its content changes, so a late frame reopens its day, and a day with
# nothing new costs a listing of its frames.  What a command writes it writes aside, syncs and renames, so no
# target is ever half-written and none need be deleted on an error.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

.PHONY: day FORCE
day: $(NAME).summary.json

# Which frames: a frame that is new, changed or gone changes this list, and nothing else does.
.work/frames.tsv: FORCE
	@list-frames "$$FFL" --day "$$DAY" --table --update $@ --record .

# Which channels were asked for.
.work/requested.txt: FORCE
	@cmp -s "$$CHANNELS" $@ || { cp "$$CHANNELS" $@.tmp && mv $@.tmp $@; }

# The settings that shape the day.
.work/settings: FORCE
	@now="$$SPEC $$INCREMENT $$COMPRESSION"
	[[ -f $@ && "$$(<$@)" == "$$now" ]] || { echo "$$now" >$@.tmp && mv $@.tmp $@; }

# Which channels the frames have (from a few of them: the reading itself finds the rest); then read, join and tell in
# one pipe.  Parts that a stopped run left are not read again, nor what still holds of an earlier result.
# The channels do not come by parallel --tee: its fifos outlive a kill -9, and what waits at one holds the day's lock.
# GNU parallel knows no jobserver: with -jN days at once, a day takes its share of the cores.
$(NAME).h5: .work/requested.txt .work/frames.tsv .work/settings
	@jobs=1; [[ " $$MAKEFLAGS" =~ \ -j([0-9]+) ]] && jobs=$${BASH_REMATCH[1]}
	workers=$$(( ($$(nproc) + jobs - 1) / jobs ))
	prune-channels .work/requested.txt .work/frames.tsv --probe 8 --rejected .work/rejected.tsv \
	  --out .work/channels.tsv --record .
	seq $$workers | parallel --will-cite --ungroup -j $$workers \
	  extract-increment .work/frames.tsv .work/channels.tsv --day "$$DAY" --increment "$$INCREMENT" --compression "$$COMPRESSION" \
	  --retries "$$MAX_RETRIES" --keep $@ --parts .work/parts --begun "$$BEGUN" --record . \
	  --share {}/$$workers |
	pad-merge .work/parts --follow --out $@ --spec "$$SPEC" --ffl "$$FFL" --requested "$$CHANNELS" \
	  --rejected .work/rejected.tsv --record . |
	summarize - --index "$$OUT" --record .

# The pipe has told what came of it, unless it was stopped in between.
$(NAME).summary.json: $(NAME).h5
	@[[ $@ -nt $(NAME).h5 ]] || summarize $(NAME).h5 --index "$$OUT" --record .
