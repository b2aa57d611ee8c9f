"""Whether stream files are what they should be, by themselves: records, sums, index, info and name.

Nothing of the importer is used.
"""

import os
import zlib
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from ...day import coverage
from ...errors import BadInput
from .. import records, store
from ..records import CHANGE, SAME

_AT_ONCE = 1 << 20


class Fault(NamedTuple):
    """What is wrong with a stream, and from when to when in GPS s; None if the fault has no time."""

    stream: str
    start: float | None
    end: float | None
    what: str


def structure(folder: str, share: tuple[int, int] = (1, 1), again: Collection[str] = ()) -> Iterator[Fault]:
    """The faults of the streams of a folder by themselves; BadInput if it has no stream.

    share: (i, n), only the streams of the i-th of n shares; a stream is in one of them by its name alone, so it stays
    there as others come.  again: names of streams that are looked at as well.
    """
    names = store.names(folder)
    if not names:
        raise BadInput(f"no stream in folder: {folder!r}")
    for name in sorted(_without_records(folder, names)):
        yield Fault(name, None, None, "has no .bin")
    part, shares = share
    for name in names:
        if zlib.crc32(os.fsencode(name)) % shares != part - 1 and name not in again:
            continue
        if records.stream_name(name) != name:
            yield Fault(name, None, None, f"name is not uniform, want {records.stream_name(name)!r}")
        try:
            stream = store.open_stream(folder, name)
        except BadInput as error:
            yield Fault(name, None, None, str(error))
            continue
        yield from (Fault(name, *fault) for fault in _faults(stream))


def _without_records(folder, names):
    """Names of streams of which the folder has an index or info, but no records."""
    endings = (records.INDEX_BIN, records.INFO)
    found = {name.removesuffix(end) for name in os.listdir(folder) for end in endings if name.endswith(end)}
    return {name for name in found.difference(names) if not name.startswith(".")}


def _faults(stream):
    info = stream.info
    if not (np.isfinite(info.bias) and np.isfinite(info.slope) and info.slope != 0 and info.nbits > 0):
        yield None, None, f"info has no calibration: bias {info.bias:g}, slope {info.slope:g}, {info.nbits} bits"
    if not len(stream.records):
        yield None, None, "no record"
        return
    wrong = _wrong_records(stream.records)
    time = stream.records["time"]
    for what, flags in wrong.items():
        for first, stop in coverage.stretches(flags):
            yield time[first], time[stop - 1], f"{what}: {stop - first} records from number {first}"
    if wrong["time does not rise"].any() or wrong["time is no number"].any():
        yield None, None, "index not compared, as times are wrong"
    else:
        yield from _wrong_entries(stream)


def _wrong_records(kept):
    """{what is wrong: bool array, shape (records,)}; some records are read at a time."""
    wrong = {
        "neither valid nor invalid": np.zeros(len(kept), bool),
        "time is no number": np.zeros(len(kept), bool),
        "time does not rise": np.zeros(len(kept), bool),
        "sum is not finite": np.zeros(len(kept), bool),
        "sum of squares falls": np.zeros(len(kept), bool),
    }
    for at in range(0, len(kept), _AT_ONCE):
        part = np.array(kept[max(0, at - 1) : at + _AT_ONCE])
        more = slice(at, at + len(part) - (at > 0))
        new, valid = slice(int(at > 0), None), part["valid"]
        wrong["neither valid nor invalid"][more] = ~np.isin(valid, (records.VALID, records.INVALID))[new]
        wrong["time is no number"][more] = ~np.isfinite(part["time"][new])
        wrong["sum is not finite"][more] = ~(np.isfinite(part["sum"]) & np.isfinite(part["square"]))[new]
        with np.errstate(invalid="ignore", over="ignore"):
            step, rise = np.diff(part["time"]), part["square"][1:] < part["square"][:-1]
        # Of a gap of two samples, at one a second, the original puts both records at one time.
        both = (valid[1:] == records.INVALID) & (valid[:-1] == records.INVALID)
        later = slice(max(at, 1), at + len(part) - (at > 0))
        wrong["time does not rise"][later] = (step < 0) | ((step == 0) & ~both)
        wrong["sum of squares falls"][later] = rise
        if at == 0:
            wrong["sum of squares falls"][0] = part["square"][0] < 0
    return wrong


def _wrong_entries(stream):
    """Where the index is not what the rule makes of the records: an entry is missing, or does not fit the records."""
    at, time, interval = _changes(stream.records)
    wanted = np.rec.fromarrays((time, interval), dtype=records.INDEX)
    index = np.array(stream.index)
    have, want = (list(map(tuple, entries.tolist())) for entries in (index, wanted))
    present, needed = set(have), set(want)
    for number, entry in enumerate(have):
        if number and (entry[0] < have[number - 1][0] or entry == have[number - 1]):
            yield entry[0], None, f"index entry {number} is out of order"
        elif entry not in needed and not _is_so(stream.records, *entry):
            yield entry[0], None, f"index entry {number} says {entry[1]!r} s, which the records do not"
    for entry in want:
        if entry not in present:
            yield entry[0], None, f"index lacks an entry of {entry[1]!r} s"
    for entry in _switches(stream, at):
        if entry not in present:
            yield entry[0], None, f"index lacks the entry of {entry[1]!r} s before the trend changes"


def _changes(kept):
    """(record number, time of the record before, seconds since it), three arrays, of records at another interval."""
    found = [(np.zeros(1, np.int64), np.zeros(1), kept["time"][:1].astype(float))]
    for at in range(1, len(kept), _AT_ONCE):
        time = np.array(kept["time"][max(0, at - 2) : at + _AT_ONCE])
        if at == 1:
            time = np.insert(time, 0, 0.0)
        step = np.diff(time)
        here = np.flatnonzero(np.abs(np.diff(step)) >= CHANGE)
        found.append((at + here, time[1:-1][here], step[1:][here]))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _is_so(kept, time, interval):
    """Whether a record at a time is followed by one `interval` later."""
    low, high = 0, len(kept)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if kept["time"][middle] < time else (low, middle)
    return low + 1 < len(kept) and kept["time"][low] == time and kept["time"][low + 1] - time == interval


def _switches(stream, changes):
    """The entries (time, interval) that the rule writes where one trend follows the other with nothing lost.

    The first sample of the new trend is the record before the one at which the interval changes, and the
    entry is for the step that leads to it.
    """
    kept, step = stream.records, 1 / stream.rate
    for at in changes[changes >= 3].tolist():
        time, valid = np.array(kept["time"][at - 3 : at + 3]), np.array(kept["valid"][at - 3 : at + 3])
        before, leads, after, *behind = np.diff(time).tolist()
        if abs(before - leads) >= CHANGE:
            continue  # an entry of its own
        if abs(after - step) < SAME and valid[3] == records.INVALID:
            continue  # the last sample before a gap
        if abs(leads - step) < SAME and records.INVALID in valid[1:3]:
            if len(behind) == 2 and not valid[2:4].any() and abs(behind[0] - step) < SAME < abs(behind[1] - leads):
                yield float(time[1]), leads  # a gap after samples as long as 1/R, and before longer ones
            continue  # a record that may stand for a gap: the entry depends on the files, which are not known
        yield float(time[1]), leads
