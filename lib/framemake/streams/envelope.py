"""The smallest and the largest sample of any span of a stream, at a cost that does not grow with the span.

Of each BLOCK records that follow one another, the smallest and the largest mean and rms are kept beside the streams, in
the hidden folder, an entry of 56 bytes a block.  Of a point of many records, whole blocks are asked, and of what is
left at its two ends the records themselves; so min and max are those of the samples, to the last bit.

Sums run, so the sums of its last record tell whether anything up to a block has changed: each entry has them, an entry
counts only while they are the stream's, and the first that does not count is found by halving.  What is missing is
made of the records again: a file here may be deleted, be old, torn or damaged, and nothing is lost but time.  The
compiled code (envelope.c) makes them, or where there is none, numpy does, with the same result, some ten times slower.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .. import compiled, files
from ..errors import BadInput
from . import reading, records, store
from .runs import Runs
from .store import Stream

BLOCK = 64
KINDS = (reading.MEAN, reading.RMS)
_FOLDER, _SUFFIX = "envelope", ".v1"
# low and high: of the two KINDS, before the calibration, infinity and less than that where no sample is good.
# last: time and sums of the block's last record, as they lie in it.
_ENTRY = np.dtype([("low", "<f8", 2), ("high", "<f8", 2), ("last", "V24")])
_AT_ONCE = 4096
# So many records are read themselves; if a span has more, blocks are asked.
_RECORDS = 1 << 15


class Blocks(NamedTuple):
    """low, high: float64, shape (2, blocks), of the KINDS, of all whole blocks of a stream, before the calibration."""

    low: np.ndarray
    high: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.low.nbytes + self.high.nbytes


def path_of(folder: str, name: str) -> str:
    """Where the entries of a stream are kept."""
    return store.hidden(folder, _FOLDER, name + _SUFFIX)


def load(folder: str, stream: Stream) -> Blocks:
    """The Blocks of a stream: those that are kept and still count, the rest made of its records."""
    held = _kept(path_of(folder, stream.name), stream)
    more = _made(stream, len(held), len(stream.records) // BLOCK)
    return Blocks(*(np.concatenate((held[name], more[name])).T.copy() for name in ("low", "high")))


def renew_all(folder: str, changed: Iterable[str]) -> None:
    """Bring what is kept up to date, of streams that have changed and of those of which nothing is kept.

    The one writer is the importer, under its lock.  What cannot be written, or read, is left: it is made when it is
    asked for.
    """
    state, changed = store.load(folder) or store.empty(), set(changed)
    names = {*state["streams"], *store.visible(folder)}
    kept: set[str] = set()
    with contextlib.suppress(OSError):
        kept.update(os.listdir(store.hidden(folder, _FOLDER)))
    for entry in kept:
        if entry.removesuffix(_SUFFIX) not in names:
            with contextlib.suppress(OSError):
                os.unlink(store.hidden(folder, _FOLDER, entry))
    for name in sorted(names):
        if name in changed or name + _SUFFIX not in kept:
            with contextlib.suppress(BadInput, OSError):
                renew(folder, store.open_held(folder, name, state))


def renew(folder: str, stream: Stream) -> int:
    """Bring what is kept of a stream up to date; how many blocks were made.  OSError if the disk does not take it."""
    path = path_of(folder, stream.name)
    held = _kept(path, stream)
    # The last records may count otherwise once others follow: how long a sample is, the next one tells.
    more = _made(stream, len(held), max(0, len(stream.records) // BLOCK - 1))
    if not len(more):
        return 0
    try:
        size = os.lstat(path).st_size
    except FileNotFoundError:
        size = -1
        os.makedirs(os.path.dirname(path), exist_ok=True)
    # No harm if what is added is cut short: what is not whole, or not there, does not count.
    if size < 0 or (len(held) and size == held.nbytes):
        with files.opened(path, "xb" if size < 0 else "ab") as out:
            out.write(more.tobytes())
    else:
        files.write_bytes(path, held.tobytes() + more.tobytes(), durable=False)
    return len(more)


def band(
    stream: Stream, blocks: Blocks, kind: str, edges: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(min, max) of the good samples that begin in each point, float64, NaN where there are none, calibrated.

    edges: of the points in GPS s, one more than points; values: what reading.points gives for them, which is min and
    max where no sample begins in a point and one goes on through it.  blocks: of the stream as it is.
    """
    count = len(edges) - 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    if not len(stream.records):
        return np.full(count, np.nan), np.full(count, np.nan)
    runs = Runs(stream, edges[0], edges[-1])
    at = runs.before(edges) + 1
    begin, stop = at[:-1], at[1:]
    if at[-1] - at[0] <= _RECORDS:
        _of_records(stream, runs, kind, begin, stop, np.arange(count), low, high)
    else:
        first, last = -(-begin // BLOCK), stop // BLOCK
        whole = first < last
        number = np.arange(count)
        _of_blocks(blocks, kind, first[whole], last[whole], number[whole], low, high)
        ends = np.where(whole, first * BLOCK, stop)
        begins = np.where(whole, last * BLOCK, stop)
        _of_records(
            stream, runs, kind, np.concatenate((begin, begins)), np.concatenate((ends, stop)), np.tile(number, 2),
            low, high,
        )  # fmt: skip
    none = low > high
    info = stream.info
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = low * info.slope + info.bias, high * info.slope + info.bias
    low, high = np.minimum(low, high), np.maximum(low, high)
    low[none | ~np.isfinite(low)] = high[none | ~np.isfinite(high)] = np.nan
    through = begin == stop
    low[through] = high[through] = values[through]
    return low, high


def _of_blocks(blocks, kind, first, last, number, low, high):
    """Take in, for the points of these numbers, blocks [first, last), one at least."""
    if not len(first):
        return
    bounds = np.stack((first, last), 1).ravel()
    bounds -= first[0]
    at = KINDS.index(kind)
    for kept, into, reduce in ((blocks.low, low, np.minimum), (blocks.high, high, np.maximum)):
        # One element more, as reduceat takes no bound at the end.
        held = np.append(kept[at, first[0] : last[-1]], into.dtype.type(np.nan))
        into[number] = reduce(into[number], reduce.reduceat(held, bounds)[::2])


def _of_records(stream, runs, kind, begin, stop, number, low, high):
    """Take in, for the points of these numbers, records [begin, stop); a point may be there twice."""
    some = begin < stop
    begin, stop, number = begin[some], stop[some], number[some]
    if not len(begin):
        return
    length = stop - begin
    places = np.cumsum(length) - length
    at = np.arange(length.sum()) - np.repeat(places - begin, length)
    # Each record is taken once, and the one before each point; as mere bytes, which takes a tenth of the time.
    kept = stream.records.dtype
    whole = stream.records.view(f"V{kept.itemsize}")
    held, earlier = whole.take(at).view(kept), whole.take(np.maximum(begin - 1, 0)).view(kept)[reading.COLUMNS[kind]]
    sums = held[reading.COLUMNS[kind]]
    before = np.empty_like(sums)
    before[1:] = sums[:-1]
    before[places] = np.where(begin > 0, earlier, earlier.dtype.type(0))
    # Where a point is of one run, its records count alike.
    run, count = runs.run_of(begin), np.repeat(runs.counts(begin), length)
    several = (run != runs.run_of(stop - 1)) | (begin <= runs.first[run])
    if several.any():
        other = np.repeat(several, length)
        count[other] = runs.counts(at[other])
    values = reading.calibrated(_plain(stream), kind, reading.less(sums, before), count)
    good = (held["valid"] != 0) & (count > 0) & ~np.isnan(values)
    for into, reduce, none in ((low, np.minimum, np.inf), (high, np.maximum, -np.inf)):
        reduce.at(into, number, reduce.reduceat(np.where(good, values, none), places))


def _plain(stream):
    """The Info of a stream whose values are not calibrated."""
    return stream.info._replace(bias=0.0, slope=1.0)


# --- what is kept --------------------------------------------------------------------------


def _kept(path, stream):
    """The entries of a file that count for a stream as it is: none, some or all of the file's."""
    try:
        if os.path.islink(path):
            return np.empty(0, _ENTRY)
        # Mapped, as the importer wants to see no more than the end of it.
        count = min(os.path.getsize(path) // _ENTRY.itemsize, len(stream.records) // BLOCK)
        held = records.Mapped(path, _ENTRY, mode="r", shape=(count,))
    except (OSError, ValueError):
        return np.empty(0, _ENTRY)
    good, bad = 0, len(held)
    if bad and _counts(held, stream, bad):
        return held
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _counts(held, stream, middle) else (good, middle)
    return held[:good]


def _counts(held, stream, count):
    """Whether the last of so many entries is of the stream's records as they are."""
    return held["last"][count - 1].tobytes() == _lasts(stream, count - 1, count)[0].tobytes()


def _lasts(stream, first, stop):
    """Time and sums of the last record of blocks [first, stop)."""
    held = stream.records[(first + 1) * BLOCK - 1 : stop * BLOCK : BLOCK]
    return np.ascontiguousarray(held).view(np.dtype([("valid", "u1"), ("last", "V24")]))["last"]


def _made(stream, first, stop):
    """The entries of blocks [first, stop), of the records."""
    made = np.empty(max(0, stop - first), _ENTRY)
    make = _by_numpy if _call() is None else _compiled
    for begin in range(first, stop, _AT_ONCE):
        end = min(stop, begin + _AT_ONCE)
        make(stream, begin, end, made[begin - first : end - first])
    return made


def _compiled(stream, begin, end, into):
    """Set the entries of blocks [begin, end), one at least, by the compiled code."""
    ahead = int(begin > 0)
    kept, span = stream.records, (begin * BLOCK - ahead, end * BLOCK)
    held = np.ascontiguousarray(kept.lent(*span) if isinstance(kept, records.Mapped) else kept[slice(*span)])
    runs = Runs(stream, held["time"][ahead], held["time"][-1])
    first, counts, inner = runs.raw_samples()
    # The memory is read and written past numpy, so all of this has to hold.
    assert len(held) == (end - begin) * BLOCK + ahead and held.itemsize == records.record(stream.info.datatype).itemsize
    assert len(into) == end - begin and into.dtype == _ENTRY and into.flags.c_contiguous
    assert len(first) == len(counts) == len(inner) > 0
    held_in = held.ctypes.data, ahead, begin * BLOCK, end - begin, held.dtype["sum"].kind == "i"
    _call()(*held_in, first.ctypes.data, counts.ctypes.data, inner.ctypes.data, len(first), into.ctypes.data)


@functools.cache
def _call():
    """The compiled function; None if there is none, or it would mean something else by what both know."""
    loaded = compiled.library() if sys.byteorder == "little" else None
    if loaded is None:
        return None
    loaded.envelope_size.restype = ctypes.c_int64
    if loaded.envelope_size() != _ENTRY.itemsize:
        return None
    pointer, count, whole = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    loaded.envelope.argtypes = [pointer, whole, count, count, whole, pointer, pointer, pointer, count, pointer]
    loaded.envelope.restype = None
    return loaded.envelope


def _by_numpy(stream, begin, end, into):
    """The same without it."""
    into["last"] = _lasts(stream, begin, end)
    for at, kind in enumerate(KINDS):
        found = reading.samples(stream, kind, begin * BLOCK, end * BLOCK)
        values = reading.calibrated(_plain(stream), kind, reading.less(found.sums[1:], found.sums[:-1]), found.count)
        good = found.good & ~np.isnan(values)
        into["low"][:, at] = np.where(good, values, np.inf).reshape(-1, BLOCK).min(1)
        into["high"][:, at] = np.where(good, values, -np.inf).reshape(-1, BLOCK).max(1)
