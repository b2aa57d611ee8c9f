"""The command contract, written once: options, messages, exit statuses, progress."""

import argparse
import contextlib
import errno
import gc
import os
import signal
import sys
import time

from .errors import BadInput, Incomplete, Told, wording
from .version import ROOT, version

FAILED, USAGE, MISSING = 1, 2, 3


def _use_environment():
    """Go on under the project's own Python, so that a command works by hand with nothing activated.

    That is $VENV if it is set (empty: whatever python3 is on PATH), else .venv beside the Makefile.
    """
    if os.path.dirname(os.path.realpath(sys.argv[0])) != os.path.join(ROOT, "bin"):
        return
    venv = os.environ.get("VENV", os.path.join(ROOT, ".venv"))
    python = os.path.join(venv, "bin", "python")
    if venv and os.path.exists(python) and os.path.realpath(sys.prefix) != os.path.realpath(venv):
        os.execv(python, [python, *sys.orig_argv[1:]])


def _settle_libraries():
    """Set what libraries read from the environment when they are loaded: a command loads them after this."""
    # OpenBLAS starts a thread a core when it is loaded, which costs time and is never used here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # HDF5's own locks fail on some network file systems; what is written here is written aside and renamed.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    # LAL prints reports of its own for each error; what a command says is enough.
    os.environ.setdefault("LAL_DEBUG_LEVEL", "0")


class _Parser(argparse.ArgumentParser):
    """argparse whose errors read as every other message of a command: what, then which."""

    def error(self, message):
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(USAGE)


class Command:
    """One run of one command: its parsed options, its messages, its exit status.

    `doc` is the docstring at the command's head: it is the help.  Every command has -v and --version.
    """

    def __init__(self, doc, name=None):
        _use_environment()
        _settle_libraries()
        self.name = name or os.path.basename(sys.argv[0])
        self.parser = _Parser(prog=self.name, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.option = self.parser.add_argument
        self.args = None
        self.exit_status = 0
        self._records = False
        # The least that is told: INFO is what only a day's log tells, WARNING what people are told as well.
        self.level = os.environ.get("LOG_LEVEL") or "INFO"

    def run(self, main):
        """Parse the options, call main(command) and leave with the right status and one line on an error."""
        # Many small objects live until a part is written: looking through them for cycles finds none.
        gc.set_threshold(200_000, 20, 20)
        sys.stdin.reconfigure(errors="surrogateescape")
        sys.stdout.reconfigure(errors="surrogateescape")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        group = self.parser.add_argument_group("for every command")
        group.add_argument("-v", "--verbose", action="store_true", help="show where an error arose")
        group.add_argument("--version", action="version", version=f"framemake {version()}")
        self.args = self.parser.parse_args()
        try:
            main(self)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (head, say) has enough: a quiet end, and no second error from the closing flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Told:
            self.exit_status = FAILED
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except Incomplete as missing:
            if str(missing):
                self.say(str(missing))
            self.exit_status = MISSING
        except ModuleNotFoundError as error:
            self.fail(f"a package is not installed, 'make setup' installs it: {error.name!r}")
        except Exception as error:
            if self.args.verbose or self.level == "DEBUG":
                import traceback

                traceback.print_exc()
            self.fail(_one_line(error))
        sys.exit(self.exit_status)

    def record_option(self):
        """The option --record, for the commands that make a day: messages and a failure are noted in its folder."""
        self.option("--record", metavar="DIR", help="day folder: note messages and a failure there as well")

    @property
    def recorded(self):
        """The folder.Folder that --record names, or None."""
        from .day.folder import Folder

        path = getattr(self.args, "record", None)
        return Folder.at(path) if path else None

    def progress(self, what):
        """A function of (done, total) that shows a bar on a terminal, and nothing elsewhere.  what: words before it."""
        begun = time.monotonic()
        return lambda done, total: progress(done, total, what, begun)

    def say_first(self, messages, most=10):
        """Tell people the first of several messages, and how many more there are."""
        for message in messages[:most]:
            self.say(message)
        if len(messages) > most:
            self.say(f"and {len(messages) - most} more such lines")

    def say(self, message):
        """Tell people: one line on stderr and, with --record, in the day's log."""
        if self.level == "ERROR":
            return
        self._tell(message)

    def _tell(self, message):
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{self.name}: {message}\n")
        self._write(message)

    def log(self, message):
        """One line, with its UTC time, in the day's worker.log, if there is a day folder."""
        if self.level in ("DEBUG", "INFO"):
            self._write(message)

    def _write(self, message):
        folder = self.recorded
        if folder:
            with contextlib.suppress(OSError), open(folder.log, "a", encoding="utf-8", errors="surrogateescape") as log:
                log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {self.name}: {message}\n")

    def fail(self, message):
        """Tell what went wrong, note it in the day's state, and make the exit status 1."""
        self._tell(message)
        self.exit_status = FAILED
        folder = self.recorded
        if folder:
            told = {"status": "failed", "error": f"{self.name}: {message}"}
            if getattr(self.args, "day", None):
                told["date"] = self.args.day
            with contextlib.suppress(OSError, ValueError):
                folder.note(**told)


def _one_line(error):
    """What went wrong and with which thing; the errors of HDF5 hold the system's in their text."""
    text = " ".join(str(error).split())
    if isinstance(error, BadInput):
        return text
    if isinstance(error, MemoryError):
        return "out of memory"
    if getattr(error, "errno", None) == errno.ENOSPC or "errno = 28" in text or "No space left" in text:
        where = getattr(error, "filename", None) or os.getcwd()
        return f"disk full: {where!r}"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{wording(error)}: {error.filename!r}"
    return f"unexpected {type(error).__name__}, -v shows where: {text[:300]}"


def read_text(path):
    """The text of a file, or of standard input for '-'; Told if a command before in a pipe gave nothing."""
    if path == "-":
        text = sys.stdin.read()
        if not text and not sys.stdin.isatty():
            raise Told
        return text
    with open(path, encoding="utf-8", errors="surrogateescape") as source:
        return source.read()


def positive(text):
    """argparse type: a whole number above zero."""
    value = int(text)
    if value <= 0:
        raise ValueError
    return value


def not_negative(text):
    """argparse type: a whole number, zero or more."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


positive.__name__, not_negative.__name__ = "whole number above 0", "whole number"


def window_options(command):
    """The options --day, or --start and --end, that name a span of time."""
    command.option("--day", metavar="YYYY-MM-DD", help="a UTC day")
    command.option("--minutes", type=positive, metavar="M", help="only the first M minutes of the day")
    command.option("--start", metavar="TIME", help="GPS seconds or ISO UTC")
    command.option("--end", metavar="TIME", help="GPS seconds or ISO UTC, exclusive")


def days_options(command):
    """The options --first and --last, days that are both included; --start and --end name them too, as they did."""
    for name, old, which in (("--first", "--start", "the first day"), ("--last", "--end", "the last day, included")):
        what = f"{which} (the {name[2:]} that there is)"
        command.option(name, metavar="YYYY-MM-DD", help=what)
        command.option(old, dest=name[2:], metavar="YYYY-MM-DD", help=argparse.SUPPRESS)


def add_flags(command, flags):
    """The options that a room gives as data: convert.Flag."""

    def kind(flag):
        def of_text(text):
            try:
                return flag.of_text(text)
            except BadInput as error:
                raise argparse.ArgumentTypeError(str(error)) from None

        return of_text if flag.of_text else str

    for flag in flags:
        if not flag.takes:
            command.option(*flag.names, dest=flag.dest, action="store_const", const=flag.alone, help=flag.help)
            continue
        alone = {} if flag.alone is None else {"nargs": "?", "const": flag.alone}
        command.option(*flag.names, dest=flag.dest, type=kind(flag), metavar=flag.metavar, help=flag.help, **alone)


def window_of(args, required=True):
    """The Window that window_options gave, or None if none was and none is required."""
    from . import gps

    if args.day is not None:
        if args.start is not None or args.end is not None:
            raise BadInput(f"--day and --start/--end exclude each other: {args.day!r}")
        return gps.day_window(args.day, args.minutes)
    if args.minutes is not None:
        raise BadInput(f"--minutes goes with --day: {args.minutes}")
    if args.start is None and args.end is None and not required:
        return None
    if args.start is None or args.end is None:
        raise BadInput("a span is needed: --day, or --start and --end")
    start, end = gps.parse(args.start), gps.parse(args.end)
    for value in (start, end):
        if value != int(value):
            raise BadInput(f"a span begins and ends on whole GPS seconds: {value!r}")
    if start >= end:
        raise BadInput(f"the span is empty: {args.start!r} to {args.end!r}")
    return gps.Window(start, end)


def share(text):
    """(i, n) of 'I/N', 1 <= I <= N."""
    try:
        part, whole = map(int, text.split("/"))
    except ValueError:
        part = whole = 0
    if not 1 <= part <= whole:
        raise BadInput(f"no such share, want I/N: {text!r}")
    return part, whole


def progress(done, total, what, begun):
    """Show a bar on a terminal: done of total, rate and time left.  Elsewhere, or with PROGRESS=no, nothing."""
    if not sys.stderr.isatty() or not total or os.environ.get("PROGRESS") == "no":
        return
    share = done / total
    bar = "#" * round(30 * share)
    spent = time.monotonic() - begun
    left = f"{spent / share - spent:4.0f} s left" if 0 < share < 1 else f"{spent:4.0f} s     "
    end = "\n" if done >= total else ""
    sys.stderr.write(f"\r{what} [{bar:<30}] {100 * share:3.0f} %  {left}\x1b[K{end}")
    sys.stderr.flush()
