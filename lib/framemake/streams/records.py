"""The files of one stream, as the e-Lab's importer laid them out: records, index and info.

<name>.bin holds 25-byte records: valid, GPS time of the sample's start, and two running sums, S of mean*n and Q of
rms**2*n, where n is the number of raw samples behind one sample of the trend.  <name>.index.bin holds an entry
wherever the time between records changes: the time of the record before, and the interval from it to the next.
<name>.info holds five lines of text.  All numbers are little-endian.  Source: the original importer's own files.
"""

import functools
import os
import re
from typing import NamedTuple

import numpy as np

from .. import files
from ..errors import BadInput

VALID, INVALID = 0xFF, 0x00
# By the datatype of an info file: the dtype of the running sums; and by the frame's dtype: the datatype.
SUMS = {"float": np.dtype("<f8"), "double": np.dtype("<f8"), "int": np.dtype("<i8")}
DATATYPES = {np.dtype("f4"): "float", np.dtype("f8"): "double", np.dtype("i4"): "int"}
INDEX = np.dtype([("time", "<f8"), ("interval", "<f8")])
BIN, INDEX_BIN, INFO = ".bin", ".index.bin", ".info"
# The index has an entry where the interval between records changes by this much, in s.
CHANGE = 1e-8
# Times closer than this, in s, are one: float64 holds a GPS time to a tenth of it.
SAME = 1e-6
# The second record of a gap adds the last good sample so many times at most.
MOST_WEIGHT = 2**31 - 1
RATES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "tables", "elab_rates.tsv")
_CHUNK = 1 << 16
# A part of a map that is no larger is copied as it is taken.
_COPIED = 8 << 20


class Info(NamedTuple):
    """What an .info file says: the frame's sample type and bits, and physical = stored * slope + bias, in units."""

    datatype: str
    nbits: int
    bias: float
    slope: float
    units: str


def record(datatype: str) -> np.dtype:
    """The packed dtype, 25 bytes, of a record of a stream of this datatype: float, double or int."""
    sums = SUMS[datatype]
    return np.dtype([("valid", "u1"), ("time", "<f8"), ("sum", sums), ("square", sums)])


def last_valid(valid: np.ndarray, first: int, stop: int) -> int:
    """The number of the last valid record of [first, stop); -1 if there is none.

    valid: that field of all records, shape (records,).  They are read from the end, some at a time.
    """
    while stop > first:
        begin = max(first, stop - _CHUNK)
        places = np.flatnonzero(valid[begin:stop])
        if len(places):
            return begin + int(places[-1])
        stop = begin
    return -1


def stream_name(channel: str) -> str:
    """The stream's name of a channel without .mean or .rms: its first '-' stays, each later one is '_'."""
    head, dash, tail = channel.partition("-")
    return head + dash + tail.replace("-", "_")


def subsystem(name: str) -> str:
    """The last part of a name split at _ and -; for a name that ends in Hz the last three, joined by _."""
    parts = re.split("[_-]", name)
    return "_".join(parts[-3:]) if name.endswith("Hz") else parts[-1]


@functools.cache
def rates(path: str = RATES) -> dict[str, int]:
    """The table of raw samples a second: {subsystem: R}."""
    table = {}
    with files.opened(path, encoding="utf-8") as source:
        for line in source:
            part = line.split("#")[0].split()
            if part:
                table[part[0]] = int(part[1])
    return table


def table_rate(name: str) -> int | None:
    """R, raw samples a second, of a stream by the table; None for a subsystem that is not in it."""
    return rates().get(subsystem(name))


def info_text(info: Info) -> str:
    """The five lines of an .info file; bias and slope as C's %g writes them."""
    return (
        f"datatype = {info.datatype}\nnbits = {info.nbits}\nbias = {info.bias:g}\n"
        f"slope = {info.slope:g}\nunits = {info.units}\n"
    )


class Mapped(np.memmap):
    """Items of a file, read where they lie; BadInput once the file is shorter than it was.

    To touch what is no longer in a file ends the process (SIGBUS).  So whoever takes something gets a copy, or the
    view of a column or of a large part, after a look at the file's size: only a cut at that very moment is not seen.
    """

    def __getitem__(self, key):
        self._check()
        found = super().__getitem__(key)
        if isinstance(found, np.void):
            return found.copy()
        if isinstance(found, Mapped) and (found._mmap is None or (type(key) is slice and found.nbytes <= _COPIED)):
            return np.array(found)
        return found

    def take(self, *given, **more):
        self._check()
        return self.view(np.ndarray).take(*given, **more)

    def lent(self, first: int, stop: int) -> np.ndarray:
        """Items [first, stop) where they lie, for who is done with them at once."""
        self._check()
        return self.view(np.ndarray)[first:stop]

    def _check(self):
        if self._mmap is not None and self._mmap.size() < len(self._mmap):
            raise BadInput(f"has become shorter while it was read: {self.filename!r}")


def mapped(path: files.Path, dtype: np.dtype, count: int) -> np.ndarray:
    """The first `count` items of a file, as Mapped; an OSError names it."""
    if not count:
        return np.zeros(0, dtype)
    with files.named(path):
        return Mapped(path, dtype, mode="r", shape=(count,))


def copied(path: files.Path, dtype: np.dtype, count: int = -1) -> np.ndarray:
    """The first `count` items of a file, or all, in memory; an OSError names it."""
    with files.named(path):
        return np.fromfile(path, dtype, count)


def parse_info(text: str, path: str) -> Info:
    """The Info of the text of an .info file; BadInput, naming the file, if it is not whole."""
    try:
        held = dict(line.split(" = ", 1) for line in text.split("\n") if line)
        info = Info(held["datatype"], int(held["nbits"]), float(held["bias"]), float(held["slope"]), held["units"])
        if info.datatype not in SUMS or len(held) != len(Info._fields):
            raise ValueError
    except (KeyError, ValueError):
        raise BadInput(f"not whole: {path!r}") from None
    return info
