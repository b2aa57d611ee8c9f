# Every variable that a person may give, what it is, and its default: NAME ?= default, below a line that tells it.
# This is the one list: make help prints it, a name that is not in it is refused, and a range hands it to its days.

### of a day, and of each day of a range

## the day, YYYY-MM-DD, UTC
DAY ?=
## instead of DAY a span, GPS seconds or UTC; for a range as FIRST
START ?=
## the end of the span, excluded; for a range as LAST
END ?=
## a frame file list, LAL cache, folder of frames, .gwf or .h5 file, GWOSC list, or server: gwdatafind://HOST/V/V1trend
FFL ?=
## a channel list: names, name and rate, ini, JSON, CSV
CHANNELS ?=
## the folder where day folders go
OUT ?= out
## what the frames are; names the day's folder and file
SPEC ?= V1trend
## seconds of the pieces that a day is rebuilt by: a late frame has those read again that it touches
INCREMENT ?= 600
## of the day file: lzf, gzip or none
COMPRESSION ?= lzf
## how often a failing read, and a failing day of a range, is tried again
MAX_RETRIES ?= 3
## only the first minutes of the day
MINUTES ?=
## no: make it anew, whatever earlier runs left
RESUME ?=
## yes: a finished day may lose samples or channels: what is gone from frames, list or span goes from the day too
SHRINK ?=
## no: write no summary.json
SUMMARY ?=
## which messages there are: DEBUG all, INFO, WARNING, ERROR the fewest
LOG_LEVEL ?=
## seconds that a second make on one day waits for the first
LOCK_WAIT ?= 3600
## yes: frame files that are on tape are read, which brings them back from there
RECALL ?=
## yes: servers are asked whether frames at URLs that a day was made from have changed
CHECK_REMOTE ?=
## the folder where frames at URLs are kept while they are read; empty: ~/.cache/framemake/frames
FRAME_CACHE ?=
## the most that it may take: 500M, 20G, 1T
FRAME_CACHE_LIMIT ?= 20G
## yes: frames stay there after their day, until others need the room
FRAME_CACHE_KEEP ?=
## a TOML file of settings; what is typed goes before it
CONFIG ?=
## instead of FFL and CHANNELS: a folder of day folders, whose days are made again at a lower RATE
SOURCE ?=
## with SOURCE: samples a second, as 0.1 or 1/60
RATE ?=
## with SOURCE: the part of the samples in the span of a new one that must be good, above 0 and up to 1
LEAST ?= 0.5

## yes: print the days that have work to do, and why; for install-cron what would change; change nothing
DRY_RUN ?=

### of a range

## the first day, YYYY-MM-DD
FIRST ?=
## the last day, included
LAST ?=
## a day; before it only those days that are not done are built, and those that a frame came for
RECENT ?=
## only so many days, from the first
LIMIT_DAYS ?=
## days at once, where make has no -jN
CONCURRENCY ?=
## seconds between the starts of two days
STAGGER ?=
## MB of memory that must be free before a day starts
MEM_GUARD ?=
## who runs the days: local, ssh, slurm or condor
ENGINE ?=
## for ssh: a file with a machine a line, [user@]host
HOSTS ?=
## for ssh and slurm: a folder of the machines, which then need not share OUT; '$TMPDIR' is what each has by that name
SCRATCH ?=
## for slurm: a file of options of sbatch, one or more a line
SLURM_EXTRA ?=
## for condor: a file of submit commands
CONDOR_EXTRA ?=

### of streams and serve

## the tree of trend frames that streams are made from
FRAMES ?=
## the folder of streams
STREAMS ?=
## the port at which serve answers
PORT ?= 8100
## the address at which it answers: only this machine, unless another is named
ADDRESS ?= 127.0.0.1
## more options of serve-streams, words without spaces in them: --allow-host NAME --origin URL --log FILE
SERVE ?=

### of crate

## the licence of the dataset, an address or words
LICENSE ?=
## who made it, an ORCID's address or a name
AGENT ?=

### of report

## the folder of the report
REPORT ?= report
## only while this expression over channels holds, see bin/list-segments --help
STATE ?=

### of install-cron

## the settings of cron/nightly
NIGHTLY ?=
## whom cron mails what a night says; empty: nobody
MAILTO ?=
## yes: comment out the lines of the crontab that do the same work; remove-cron makes them what they were
TAKE_OVER ?=
## another template than cron/crontab
CRONTAB ?=
## an older name of DRY_RUN: 1 is yes
DRY ?=

### of install and uninstall

## the folder in whose bin the commands are put, with man pages and completion in its share: /usr/local, ~/.local
PREFIX ?=
## what goes before PREFIX, where a package is made
DESTDIR ?=

### of the checkout

## the Python environment; empty: the python3 on PATH, with nothing installed
VENV ?= $(ROOT)/.venv
## options of pytest for make test, as TESTS="-k name"
TESTS ?=
