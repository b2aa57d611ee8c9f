"""Operands and options that several commands share: standard input for '-', spans of time, numbers, segments."""

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from .. import gps
from ..errors import BadInput, Told
from .command import Command

if TYPE_CHECKING:
    from ..days.read import Days


def read_text(path: str) -> str:
    """The text of a file, or of standard input for '-'.

    Raises Told if that is empty: the command before in the pipe has failed, and said why.
    """
    if path == "-":
        text = sys.stdin.read()
        if not text and not sys.stdin.isatty():
            raise Told
        return text
    from ..files import read_text

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
    from ..days import segments

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
