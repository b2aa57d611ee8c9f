"""The converter in use, as a call of make: its flags, and what make is given for them."""

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import child, settings
from .errors import BadInput
from .settings import DAY, KEYS, SPANS
from .version import ROOT

# What may stand first in a line that a command writes on stderr, for LOG_LINES=levels.
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class Flag(NamedTuple):
    """A flag of convert-day or convert-range.

    dest: the key of settings that it gives.  of_text: makes its value of a text, BadInput if it is none.  alone: its
    value where it stands without a text.  takes: whether a text may follow.
    """

    names: tuple
    dest: str
    help: str
    metavar: str = ""
    of_text: Callable[[str], Any] | None = None
    alone: Any = None
    takes: bool = True


def flags(purpose: str) -> list[Flag]:
    """The flags of a settings.DAY or settings.RANGE, one for each key."""
    found = [Flag(("-c", "--config-file"), "config_file", "TOML file of settings; options win over it", "FILE")]
    for key, setting in KEYS[purpose].items():
        if key == "out_dir":
            continue  # another name of out_root
        names, of_text = _names(key), _reader(setting)
        if setting.kind is not settings.FLAG:
            found.append(Flag(names, key, setting.help, setting.variable or key.rpartition("_")[2].upper(), of_text))
            continue
        found.append(Flag(names, key, setting.help, "true|false", of_text, alone=True))
        found.append(Flag((f"--no-{names[0][2:]}",), key, f"{names[0]} false", alone=False, takes=False))
    return found


def _names(key):
    return ("--out", "--out-dir", "--out-root") if key == "out_root" else (f"--{key.replace('_', '-')}",)


def _reader(setting):
    def of_text(text):
        try:
            value = setting.kind.of_text(text)
            settings.checked("", setting, value)
        except (ValueError, KeyError, OverflowError, BadInput):
            raise BadInput(f"must be {setting.kind.want}: {text!r}") from None
        return value

    return of_text


def missing(given: dict, config: str | None, purpose: str) -> str:
    """What is missing if neither a file nor a beginning or end is given; else ''."""
    if config is not None or given.keys() & SPANS[purpose].keys():
        return ""
    return f"a span is needed: -c FILE, or {', '.join(_names(key)[0] for key in SPANS[purpose])}"


def run(given: dict, config: str | None, purpose: str, show: Callable[[str, str], None]) -> bool:
    """Have make build what settings {key: value} and a file of settings ask for, in this folder; whether it did.

    purpose: settings.DAY or settings.RANGE.  show: called with (level, text) for each line that make and what it runs
    write on stderr, as it comes; the level is '' where a line has none.  BadInput as in settings.variables, or if there
    is no make.
    """
    arguments, defaults = call(given, config, purpose, os.environ)
    # A make that calls us has variables of its own, and a span is what the flags or the file say.
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL") if "MAKELEVEL" in os.environ else ()
    inherited = {
        name: text
        for name, text in os.environ.items()
        if name not in (*outer, "DAY", "START", "END", "FIRST", "LAST", "CONFIG")
    }
    reading, writing = os.pipe()
    reader = threading.Thread(target=_read, args=(reading, show))
    reader.start()
    try:
        with child.Runner() as runner:
            return runner.run(["make", *arguments], {**defaults, **inherited, "LOG_LINES": "levels"}, writing) == 0
    except FileNotFoundError:
        raise BadInput("no such program on PATH: 'make'") from None
    finally:
        os.close(writing)
        reader.join()


def _read(handle, show):
    """Show each line of a pipe until its last writer has ended."""
    with open(handle, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            level, space, text = line.rstrip("\n").partition(" ")
            if space and level in LEVELS:
                show(level, text)
            else:
                show("", line.rstrip("\n"))


def call(given: dict, config: str | None, purpose: str, environ: Mapping) -> tuple[list[str], dict]:
    """(arguments, environment) of make; what is in the environment has the least say, a local.mk wins over it."""
    if config == "-":
        raise BadInput("the settings cannot be standard input, a file is needed: '-'")
    if config is not None and purpose == DAY and given.keys() & SPANS[DAY].keys():
        given = _fill_window(given, settings.read(config, purpose))
    found = settings.variables(given, purpose)
    defaults = settings.site_lists(found, environ) if config is None else {}
    if os.path.exists(defaults.get("FFL", "")):
        found["FFL"] = defaults.pop("FFL")
    jobs = found.pop("CONCURRENCY", None)
    if config is not None:
        found["CONFIG"] = settings.checked("--config-file", KEYS[purpose]["out_dir"], config)
    options = ["-f", os.path.join(ROOT, "Makefile"), "--no-print-directory", *([f"-j{jobs}"] if jobs else [])]
    return [*options, purpose, *(f"{name}={text}" for name, text in found.items())], defaults


def _fill_window(given, file):
    """Settings of flags, and of a file's window what they leave open: start before end before duration."""
    window = SPANS[DAY]
    sides = {key.partition("_")[0] for key in given if key in window}
    filled = dict(given)
    for side in ("start", "end", "duration"):
        keys = [key for key in window if key in file and key.partition("_")[0] == side]
        if len(sides) < 2 and side not in sides and keys:
            filled.update((key, file[key]) for key in keys)
            sides.add(side)
    return filled
