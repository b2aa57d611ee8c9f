"""The convention of Nagios and Icinga plugins: what was found as one line and an exit status.

The form is that of the Monitoring Plugins Development Guidelines: exit status 0 to 3, one line of text, performance
data after a bar, thresholds as ranges.
"""

import contextlib
import json
import math
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..errors import BadInput, wording
from ..frames import catalog

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
# Of several findings the first of these is the result: a known fault goes before what is not known.
_WEIGHT = (OK, UNKNOWN, WARNING, CRITICAL)
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"(@?)(?:(~|{_NUMBER})?:)?({_NUMBER})?")


class Range(NamedTuple):
    """Values that are well: from low to high, both included; `inside`: those are the ones that are not."""

    low: float
    high: float
    inside: bool = False

    def alerts(self, value: float) -> bool:
        return (self.low <= value <= self.high) == self.inside

    def times(self, factor: float) -> "Range":
        return self._replace(low=self.low * factor, high=self.high * factor)

    def __str__(self):
        high = "" if self.high == math.inf else catalog.number(self.high)
        low = "~:" if self.low == -math.inf else f"{catalog.number(self.low)}:" if self.low or not high else ""
        return ("@" if self.inside else "") + low + high


class Limits(NamedTuple):
    """The Ranges outside of which there is a warning, and a critical alert; None: there is none."""

    warning: Range | None
    critical: Range | None

    def judge(self, value: float) -> int:
        if self.critical and self.critical.alerts(value):
            return CRITICAL
        return WARNING if self.warning and self.warning.alerts(value) else OK

    def times(self, factor: float) -> "Limits":
        return Limits(*(limit and limit.times(factor) for limit in self))


class Finding(NamedTuple):
    """What one look gave: a status, words for people, performance data or ''."""

    status: int
    text: str
    data: str = ""


class Probe(NamedTuple):
    """One thing to look at: its path, and a function that yields the Findings."""

    path: str
    find: Callable[[], Iterable[Finding]]


def limits(text: str) -> Limits:
    """The Limits of a text 'WARN,CRIT', each a range [@][start:][end] of the plugins' guidelines, or nothing.

    Raises ValueError for any other text.
    """
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError
    return Limits(*(_range(part) for part in parts))


def _range(text):
    match = _RANGE.fullmatch(text)
    if not text:
        return None
    if not match or text in ("@", ":", "@:"):
        raise ValueError
    at, low, high = match.groups()
    low = -math.inf if low == "~" else float(low or 0)
    high = float(high) if high else math.inf
    if low > high:
        raise ValueError
    return Range(low, high, bool(at))


def findings(probes: Iterable[Probe], seconds: float) -> list[Finding]:
    """The Findings of probes; one that is UNKNOWN if they take longer than `seconds`.

    They run in a process of their own, which is left behind if a file system that does not answer holds it: no
    signal ends that.
    """
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        return [Finding(UNKNOWN, why(error))]
    if not child:
        os.close(reading)
        _report(probes, writing)
    os.close(writing)
    try:
        text = _read(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
    if text is None:
        return [Finding(UNKNOWN, f"no answer after {seconds:g} s")]
    os.waitpid(child, 0)
    try:
        return [Finding(*each) for each in json.loads(text)]
    except ValueError:
        return [Finding(UNKNOWN, "the look ended without a word")]


def _report(probes, out):
    """In the child: write what the probes find, and end whatever happens."""
    try:
        # Who waits for the output must not wait for a child that was left behind.
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        found = []
        for probe in probes:
            try:
                found += probe.find()
            except Exception as error:
                found.append(Finding(UNKNOWN, f"{probe.path}: {why(error)}"))
        data = json.dumps(found).encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(out, data) :]
    finally:
        os._exit(0)


def _read(source, until):
    """All that comes from a file descriptor until its end, or None if that is not there in time."""
    parts = []
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([source], [], [], left)[0]:
            return None
        part = os.read(source, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def why(error: BaseException) -> str:
    """What an error says, with what it is about."""
    if isinstance(error, OSError) and error.strerror:
        return wording(error) + (f": {error.filename!r}" if error.filename else "")
    return str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"


def line(found: list[Finding]) -> tuple[int, str]:
    """(exit status, line) of what was found: what is worst comes first, performance data after a bar."""
    ordered = sorted(found, key=lambda each: -_WEIGHT.index(each.status))
    worst = ordered[0].status if ordered else UNKNOWN
    text = "; ".join(each.text for each in ordered) or "nothing to look at"
    # A bar begins the performance data, and a line end the text that only some monitors keep.
    text = "".join(c if c.isprintable() else "?" for c in text.replace("|", "/"))
    data = " ".join(each.data for each in found if each.data)
    return worst, f"NIGHTLY {WORDS[worst]}: {text}" + (f" | {data}" if data else "")


def datum(
    label: str,
    value: float,
    unit: str = "",
    limits: Limits | None = None,
    low: float | str = "",
    high: float | str = "",
) -> str:
    """One datum of the performance data: 'label'=value[UOM];warn;crit;min;max."""
    quoted = label.replace("=", "_").replace("'", "''")
    quoted = f"'{quoted}'" if re.search(r"[^\w./:-]", label) else quoted
    ranges = [str(limit or "") for limit in limits or ("", "")]
    number = f"{value:.1f}".removesuffix(".0")
    return ";".join([f"{quoted}={number}{unit}", *ranges, str(low), str(high)]).rstrip(";")
