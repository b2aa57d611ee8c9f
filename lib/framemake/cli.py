"""The command contract, written once: options, messages, exit statuses, progress.  The commands alone import it."""

import argparse
import contextlib
import errno
import functools
import gc
import io
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from . import gps
from .errors import BadInput, Incomplete, Told, wording
from .version import ROOT, version

if TYPE_CHECKING:
    from tqdm import tqdm

    from .day.folder import Folder
    from .days.read import Days

# LARGE: what extract-increment --alone does not read.
FAILED, USAGE, MISSING, LARGE = 1, 2, 3, 4


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
    """Set what libraries read from the environment when they are loaded, which a command does after this."""
    # OpenBLAS starts a thread a core when it is loaded, which costs time and is never used here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # HDF5's own locks fail on some network file systems; what is written here is written aside and renamed.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    # LAL prints a report of its own on each error; the message of the command is enough.
    os.environ.setdefault("LAL_DEBUG_LEVEL", "0")
    # Pictures are drawn into files, whatever window a user has chosen for matplotlib.
    os.environ["MPLBACKEND"] = "agg"


class _Parser(argparse.ArgumentParser):
    """argparse whose errors read as every other message of a command: what, then which."""

    def error(self, message):
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(USAGE)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, which argparse asks shutil for each option: that takes long to load."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width() - 2)


@functools.cache
def _width():
    """Columns of the terminal, as shutil.get_terminal_size tells them."""
    with contextlib.suppress(ValueError):
        if (told := int(os.environ.get("COLUMNS") or 0)) > 0:
            return told
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80
    return 80


class Command:
    """One run of one command: its options, its messages, its exit status.

    `doc` is the docstring at the command's head: it is the help.  Every command has -v and --version.  What the
    environment must hold for the libraries is set now, so a command loads them later, in its main.
    """

    def __init__(self, doc: str | None, name: str | None = None) -> None:
        _use_environment()
        _settle_libraries()
        self.name = name or os.path.basename(sys.argv[0])
        self.parser = _Parser(prog=self.name, description=doc, formatter_class=_Help)
        self.option = self.parser.add_argument
        self.args = argparse.Namespace()
        self.exit_status = 0
        self._bar: tqdm | None = None
        # The least level that is written: debug() is of DEBUG, log() of INFO, say() of WARNING, fail() of ERROR.
        self.level = os.environ.get("LOG_LEVEL") or "INFO"
        # Each line on stderr begins with its level, for convert-day and convert-range, which take them apart.
        self._levels = os.environ.get("LOG_LINES") == "levels"

    def run(self, main: "Callable[[Command], None]") -> NoReturn:
        """Parse the options, call main(command) and leave with the right status and one line on an error."""
        # Many small objects live until a part is written; the garbage collector would look through them in vain.
        gc.set_threshold(200_000, 20, 20)
        for stream in (sys.stdin, sys.stdout):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="surrogateescape")
        _name_streams()
        signal.signal(signal.SIGTERM, _end)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
        self.args = self.whole_parser().parse_args()
        self.debug(f"begins: {shlex.join(map(str, sys.argv[1:]))}")
        try:
            try:
                main(self)
            except Exception:
                # HDF5, which calls us as it writes, makes an error of its own of what it meets there.
                if _came:
                    sys.exit(128 + _came[0])
                raise
            finally:
                self._end_bar()
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (head, say) has enough: a quiet end, and no second error from the closing flush.
            _close_output()
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
            if getattr(error, "filename", None) == _OUTPUT:
                _close_output()
            if self.args.verbose or self.level == "DEBUG":
                import traceback

                traceback.print_exc()
            _name_module(error)
            self.fail(_one_line(error), getattr(error, "reason", ""))
        sys.exit(self.exit_status)

    def whole_parser(self) -> argparse.ArgumentParser:
        """The parser, once the command has added its own options: with those that every command has."""
        group = self.parser.add_argument_group("for every command")
        group.add_argument("-v", "--verbose", action="store_true", help="show where an error arose")
        group.add_argument("--version", action="version", version=f"framemake {version()}")
        return self.parser

    def record_option(self) -> None:
        """Give a command that makes a day the option --record: messages and a failure are noted in the day's folder."""
        self.option("--record", metavar="DIR", help="day folder: note messages and a failure there as well")

    @property
    def recorded(self) -> "Folder | None":
        """The folder.Folder that --record names, or None."""
        path = getattr(self.args, "record", None)
        if not path:
            return None
        from .day.folder import Folder

        return Folder.at(path)

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A function of (done, total) that shows a bar on a terminal: how much is done and how long the rest takes.

        what: words before the bar.  Elsewhere, and with PROGRESS=no, it shows nothing.
        """
        if not sys.stderr.isatty() or os.environ.get("PROGRESS") == "no":
            return lambda done, total: None

        def show(done: int, total: int) -> None:
            if self._bar is None and 0 <= done < total:
                self._bar = _bar(what, total)
            if self._bar is not None:
                self._bar.total = total
                self._bar.update(done - self._bar.n)
                if done >= total:
                    self._end_bar()

        return show

    def _end_bar(self) -> None:
        """Leave a bar that is full, and go to the next line; take away one that is not: others may draw there too."""
        bar, self._bar = self._bar, None
        if bar is not None:
            # Of a day that several processes make one line tells, when all is done: hold-day's.
            bar.leave = bar.n >= bar.total and not self.recorded
            bar.close()

    def say_first(self, messages: Sequence[str], most: int = 10) -> None:
        """Say the first of several messages, and how many more there are."""
        for message in messages[:most]:
            self.say(message)
        if len(messages) > most:
            self.say(f"and {len(messages) - most} more such lines")

    def say(self, message: str) -> None:
        """Say one line on stderr and, with --record, note it in the day's log."""
        if self.level == "ERROR":
            return
        self._put(message, "WARNING")

    def tell(self, message: str) -> None:
        """Say one line on stderr that tells how work goes, whatever LOG_LEVEL is."""
        self._show(message, "INFO")

    @property
    def is_watched(self) -> bool:
        """Whether somebody, or convert-day for them, looks at what is written on stderr."""
        return self._levels or sys.stderr.isatty()

    def relay(self, level: str, text: str) -> None:
        """Pass on a line of a make that we have called: DEBUG and INFO to stdout, with the time, the rest to stderr."""
        with contextlib.suppress(OSError):  # whoever reads may have enough
            if level in ("DEBUG", "INFO"):
                sys.stdout.write(f"{gps.now_utc()} {level} {text}\n")
                sys.stdout.flush()
            else:
                os.write(2, os.fsencode(f"{text}\n"))

    def _put(self, message, level):
        self._show(message, level)
        self._write(message)

    def _show(self, message, level):
        with contextlib.suppress(OSError):
            if self._bar is not None:
                self._bar.clear()
            head = ""
            if self._levels:  # lines of several days that are made at once come together
                of_day = self.recorded and f"{os.path.basename(os.path.realpath(self.recorded.path))}: "
                head = f"{level} {of_day or ''}"
            sys.stderr.write(f"{head}{self.name}: {message}\n")

    def log(self, message: str) -> None:
        """One line, with its UTC time, in the day's worker.log, if there is a day folder.

        Shown on stderr as well if LOG_LEVEL is DEBUG, or convert-day or convert-range have called.
        """
        if self.level in ("DEBUG", "INFO"):
            self._write(message)
            if self.recorded and (self._levels or self.level == "DEBUG"):
                self._show(message, "INFO")

    def debug(self, message: str) -> None:
        """The same, for LOG_LEVEL=DEBUG alone."""
        if self.level == "DEBUG" and self.recorded:
            self._put(message, "DEBUG")

    def _write(self, message):
        folder = self.recorded
        if folder:
            with contextlib.suppress(OSError), open(folder.log, "a", encoding="utf-8", errors="surrogateescape") as log:
                log.write(f"{gps.now_utc()} {self.name}: {message}\n")

    def fail(self, message: str, reason: str = "") -> None:
        """Say what went wrong, note it with --record in the day's state, and make the exit status 1.

        reason: see BadInput.
        """
        self._put(message, "ERROR")
        self.exit_status = FAILED
        folder = self.recorded
        if folder:
            date = getattr(self.args, "day", None)
            with contextlib.suppress(OSError, ValueError):
                note = {"status": "failed", "error": f"{self.name}: {message}"}
                folder.note(**note, **({"date": date} if date else {}), **({"reason": reason} if reason else {}))


# The signals that are to end this process.
_came: list[int] = []


def _end(number, _):
    _came.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


_OUTPUT = "standard output"


def _close_output():
    """Let what is still to be written to standard output go nowhere: Python would try as it ends, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _name_streams():
    """Have an error of standard input or output name it, whoever reads or writes there."""
    reads = ("read", "readall", "readinto")
    for stream, name, calls in ((sys.stdin, "standard input", reads), (sys.stdout, _OUTPUT, ("write",))):
        buffer = getattr(stream, "buffer", None)
        # With PYTHONUNBUFFERED there is nothing in between.
        raw = getattr(buffer, "raw", buffer)
        if isinstance(raw, io.FileIO):
            vars(raw).update({call: _naming(getattr(raw, call), name) for call in calls})


def _naming(call, name):
    @functools.wraps(call)
    def named(*args):
        try:
            return call(*args)
        except OSError as error:
            error.filename = name
            raise

    return named


def _name_module(error):
    """Give the error of a Python module that could not be read the name of its file: the interpreter does not."""
    trace = error.__traceback__
    while trace and isinstance(error, OSError) and error.filename is None:
        if trace.tb_frame.f_code.co_name == "get_data":  # of importlib's loaders
            error.filename = trace.tb_frame.f_locals.get("path")
        trace = trace.tb_next


def _one_line(error):
    """What went wrong and with which thing."""
    text = " ".join(str(error).split())
    if isinstance(error, BadInput):
        return text
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = error.filename or os.getcwd()
        return f"disk full: {where!r}"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{wording(error)}: {error.filename!r}"
    return f"unexpected {type(error).__name__}, -v shows where: {text[:300]}"


def _bar(what: str, total: int) -> "tqdm":
    """A bar that is drawn again at each half percent; loaded here, as only a terminal has one."""
    from tqdm import tqdm

    # No thread that looks after slow bars: a command may fork.
    tqdm.monitor_interval = 0
    shape = "{desc} [{bar:30}] {percentage:3.0f} %  {remaining_s:4.0f} s left, {n_fmt} of {total_fmt}, {rate_noinv_fmt}"
    # A terminal that does not know its size says 0, and tqdm would draw nothing.
    width, height = os.get_terminal_size(sys.stderr.fileno())
    size = {"ncols": width or 100, "nrows": height or 24}
    often = {"miniters": total // 200, "mininterval": 0}
    return tqdm(total=total, desc=what, bar_format=shape, ascii=" #", unit="", **size, **often)


def read_text(path: str) -> str:
    """The text of a file, or of standard input for '-'.

    Raises Told if that is empty: the command before in the pipe has failed, and said why.
    """
    if path == "-":
        text = sys.stdin.read()
        if not text and not sys.stdin.isatty():
            raise Told
        return text
    from .files import read_text

    return read_text(path)


def read_line() -> str:
    """The first line of standard input, without waiting for what the command before does after it; raises Told if none.

    See read_text.
    """
    line = sys.stdin.readline()
    if not line and not sys.stdin.isatty():
        raise Told
    return line.rstrip("\n")


def source(path: str) -> str | TextIO:
    """What lists.list_frames takes for the operand of a command: standard input for '-'."""
    return sys.stdin if path == "-" else path


def positive(text: str) -> int:
    """argparse type: a whole number above zero."""
    value = int(text)
    if value <= 0:
        raise ValueError
    return value


def not_negative(text: str) -> int:
    """argparse type: a whole number, zero or more."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def above_zero(text: str) -> float:
    """argparse type: a number above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


positive.__name__, not_negative.__name__, above_zero.__name__ = "whole number above 0", "whole number", "number above 0"


def window_options(command: Command) -> None:
    """The options --day, or --start and --end, that name a span of time."""
    command.option("--day", metavar="YYYY-MM-DD", help="a UTC day")
    command.option("--minutes", type=positive, metavar="M", help="only the first M minutes of the day")
    command.option("--start", metavar="TIME", help="GPS seconds or ISO UTC")
    command.option("--end", metavar="TIME", help="GPS seconds or ISO UTC, exclusive")


def span_options(command: Command) -> None:
    """The options --start and --end: a span of time, fractions of a second included, of what reads days' samples."""
    command.option("--start", metavar="TIME", help="GPS seconds or ISO UTC (the first day that there is)")
    command.option("--end", metavar="TIME", help="GPS seconds or ISO UTC, excluded (the end of the last day)")


def days_options(command: Command, default: bool = True) -> None:
    """The options --first and --last: days, both included.  The older --start and --end still mean the same.

    default: whether they may be left out, for the first and the last day that there is.
    """
    for name, old, which in (("--first", "--start", "the first day"), ("--last", "--end", "the last day, included")):
        what = f"{which} (the {name[2:]} that there is)" if default else which
        command.option(name, metavar="YYYY-MM-DD", help=what)
        command.option(old, dest=name[2:], metavar="YYYY-MM-DD", help=argparse.SUPPRESS)


def segments_option(group: Any) -> None:
    """The option --segments of a Command or a group of its options: only some time."""
    add = getattr(group, "option", None) or group.add_argument
    add("--segments", metavar="FILE", help="only in these segments, as list-segments prints them; - for standard input")


def state_options(command: Command) -> None:
    """The options --state and --segments: only while a state holds."""
    one = command.parser.add_mutually_exclusive_group()
    one.add_argument("--state", metavar="EXPRESSION", help="only while this holds, see list-segments")
    segments_option(one)


def segments_of(
    args: argparse.Namespace, days: "Days | None" = None, start: Any = None, end: Any = None
) -> tuple[str, list[tuple[float, float]]] | None:
    """(what they are called, the spans in GPS seconds) of the segments that --state or --segments gave, or None.

    days: those in which --state is looked for, from start to end; without them --segments alone counts.
    """
    if days is not None and args.state:
        return args.state, days.segments(None, start, end, state=args.state).active
    if not args.segments:
        return None
    from .days import segments

    return args.segments, segments.read(read_text(args.segments), args.segments)


def add_flags(command: Command, flags: Iterable) -> None:
    """The options that a room gives as data: convert.Flag."""

    def kind(flag: Any) -> Any:
        def of_text(text: str) -> Any:
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


def window_of(args: argparse.Namespace, required: bool = True) -> gps.Window | None:
    """The Window that window_options gave, or None if none was and none is required."""
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
    return gps.Window(int(start), int(end))


def share(text: str) -> tuple[int, int]:
    """(i, n) of 'I/N', 1 <= I <= N."""
    try:
        part, whole = map(int, text.split("/"))
    except ValueError:
        part = whole = 0
    if not 1 <= part <= whole:
        raise BadInput(f"no such share, want I/N: {text!r}")
    return part, whole
