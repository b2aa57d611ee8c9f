"""A command: its options, messages, progress and exit status."""

import argparse
import contextlib
import errno
import functools
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from .. import gps
from ..errors import BadInput, Incomplete, Told, wording
from ..version import version
from . import process

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..day.folder import Folder

# LARGE: what extract-increment --alone does not read.
FAILED, USAGE, MISSING, LARGE = 1, 2, 3, 4


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
        process.use_environment()
        process.settle_libraries()
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
        try:
            process.begin()
            self.args = self.whole_parser().parse_args()
            self.debug(f"begins: {shlex.join(map(str, sys.argv[1:]))}")
            try:
                main(self)
            except Exception:
                process.end_if_told()
                raise
            else:
                process.end_if_told()
            finally:
                self._end_bar()
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (head, say) has enough: a quiet end, and no second error from the closing flush.
            process.close_output()
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
            if process.is_of_output(error):
                process.close_output()
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
        from ..day.folder import Folder

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
