"""From samples to records: the running sums of a stream, its gaps and its index.

The rules are those of the original importer, byte for byte, with these differences, all on purpose:
- a sample that is NaN or infinite, or that the frame marks as bad, is no data, like a zero;
- an index entry is also written where the interval differs from that of the index's last entry, so that the time of
  every record follows from the index;
- where the two records of a gap would fall on the same time, or cross, there is one.

The compiled code (sums.c) does the same for one stream after another, some ten times as fast; where there is none, or
something is out of the ordinary, what is here does.
"""

import ctypes
import functools
import struct
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ... import compiled
from .. import records


class Running(NamedTuple):
    """Where a stream stands after its last record.

    total, square: the running sums S and Q, int for a stream of type int; last: GPS time of the last record, 0 for
    none; interval: seconds between samples of the frame it came from, -1 for none; listed: interval of the index's last
    entry; mean, rms: those of the last valid sample, which stand in for samples that are not there.
    """

    total: float = 0
    square: float = 0
    last: float = 0.0
    interval: float = -1.0
    listed: float = -1.0
    mean: float = 0
    rms: float = 0

    @property
    def reach(self) -> float:
        """GPS time up to which the stream has samples; 0 for an empty one."""
        return self.last + max(self.interval, 0.0)


class FramePiece(NamedTuple):
    """The samples of one channel in one frame.

    start: GPS time of the first; interval: seconds between them; mean, rms: shape (samples,), as the frame holds them;
    bad: bool array of that shape, True where the frame says that there is no data, or None; fine: second trend.
    """

    start: float
    interval: float
    mean: np.ndarray
    rms: np.ndarray
    bad: np.ndarray | None
    fine: bool

    @property
    def end(self) -> float:
        """GPS time at which the last sample ends."""
        return self.start + len(self.mean) * self.interval


class Overflow(Exception):
    """A running sum that its type cannot hold."""


def raw(interval: float, rate: float) -> int:
    """Raw samples behind one sample of a trend: n = trunc(D * R), for D seconds and R raw samples a second."""
    return int(interval * rate)


# A part of the samples of a piece, as sums.c has it: addresses of the means, the rms and of which are no data, or 0.
SPAN = np.dtype(
    [(name, "f8") for name in ("start", "interval")]
    + [(name, "i8") for name in ("count", "low", "high")]
    + [(name, "u8") for name in ("mean", "rms", "bad")]
)
# By the datatype of a stream: how sums.c calls it, the dtype of its samples, and the fields of a Running there.
_TYPES = {
    "float": (0, np.dtype("f4"), struct.Struct("=7d")),
    "double": (1, np.dtype("f8"), struct.Struct("=7d")),
    "int": (2, np.dtype("i4"), struct.Struct("=2q3d2q")),
}
_DONE, _OVERFLOWS = 0, 1


def extend(
    running: Running, rate: float, datatype: str, pieces: Sequence[FramePiece]
) -> tuple[np.ndarray, np.ndarray, Running]:
    """(records, index entries, where the stream then stands) of pieces that follow a stream that stands at `running`.

    records: shape (records,), of records.record(datatype); index entries: shape (entries,), of records.INDEX.
    Pieces that overlap one another must be in one call; samples before running.reach are dropped.  Raises Overflow if
    a sum leaves the range of its type.
    """
    kept = arrange(pieces, running.reach if running.last > 0 else -np.inf)
    if kept and _call():
        spans, held = _spans(datatype, pieces, kept)
        found = _compiled(running, rate, datatype, spans, arranged=True) if held else None
        if found:
            return found
    return _by_numpy(running, rate, datatype, pieces, kept)


def extend_spans(
    running: Running, rate: float, datatype: str, spans: np.ndarray, pieces: Callable[[], Sequence[FramePiece]]
) -> tuple[np.ndarray, np.ndarray, Running]:
    """The same of whole pieces as spans, shape (pieces,), of SPAN; pieces: gives them as they are, if that is needed.

    What the addresses lead to is read past numpy: it must be there, contiguous, and of the dtype of the datatype.
    """
    found = _compiled(running, rate, datatype, spans, arranged=False) if _call() else None
    return found or extend(running, rate, datatype, pieces())


def _spans(datatype, pieces, kept):
    """(spans of what is kept, what has to live as long), two None if samples are of another dtype than the stream's."""
    dtype = _TYPES[datatype][1]
    spans, held = np.zeros(len(kept), SPAN), []
    for place, (at, low, high) in enumerate(kept):
        piece = pieces[at]
        if not len(piece.mean) == len(piece.rms) == len(piece.mean if piece.bad is None else piece.bad):
            return None, None
        if piece.mean.dtype != dtype or piece.rms.dtype != dtype or (piece.bad is not None and piece.bad.dtype != bool):
            return None, None
        arrays = [np.ascontiguousarray(each) for each in (piece.mean, piece.rms)]
        arrays += [] if piece.bad is None else [np.ascontiguousarray(piece.bad)]
        held.append(arrays)
        addresses = [each.ctypes.data for each in arrays]
        spans[place] = (piece.start, piece.interval, len(piece.mean), low, high, *addresses, *[0] * (3 - len(arrays)))
    return spans, held


def _compiled(running, rate, datatype, spans, arranged):
    """What `extend` gives, of spans, by the compiled code; None if that leaves it.  arranged: see sums.c."""
    number, _, fields = _TYPES[datatype]
    try:
        state = bytearray(fields.pack(*running))
    except (struct.error, OverflowError):
        return None
    room = int((spans["high"] - spans["low"]).sum()) + 2 * len(spans)
    if room < 0:
        return None
    made, index = np.empty(room, records.record(datatype)), np.empty(room, records.INDEX)
    counts = np.zeros(2, np.int64)
    done = _call()(
        *(number, (ctypes.c_char * len(state)).from_buffer(state), rate, spans.ctypes.data, len(spans), arranged),
        *(made.ctypes.data, index.ctypes.data, room, counts.ctypes.data),
    )
    if done == _OVERFLOWS:
        raise Overflow
    if done != _DONE:
        return None
    return made[: counts[0]], index[: counts[1]], Running(*fields.unpack(state))


@functools.cache
def _call():
    """The compiled function; None if there is none, or it would mean something else by what both know."""
    loaded = compiled.library() if sys.byteorder == "little" else None
    if loaded is None:
        return None
    pointer, count, whole = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    loaded.sums_size_of_struct.argtypes, loaded.sums_size_of_struct.restype = [whole], count
    known = [fields.size for _, _, fields in _TYPES.values()] + [SPAN.itemsize, records.INDEX.itemsize]
    if known != [loaded.sums_size_of_struct(number) for number in (0, 0, 0, 1, 2)]:
        return None
    about = [whole, pointer, ctypes.c_double, pointer, count, whole]
    loaded.sums_extend.argtypes = [*about, pointer, pointer, count, pointer]
    loaded.sums_extend.restype = whole
    return loaded.sums_extend


def _by_numpy(running, rate, datatype, pieces, kept):
    """What `extend` gives, of what arrange() keeps of the pieces."""
    dtype = records.record(datatype)
    if not kept:
        return np.zeros(0, dtype), np.zeros(0, records.INDEX), running
    mean, rms = cleaned(pieces, records.SUMS[datatype])
    begins = np.cumsum([0, *(len(piece.mean) for piece in pieces)])
    if kept != [(at, 0, len(piece.mean)) for at, piece in enumerate(pieces)]:
        chosen = np.concatenate([np.arange(begins[at] + low, begins[at] + high) for at, low, high in kept])
        mean, rms = mean[chosen], rms[chosen]
    lengths = [high - low for _, low, high in kept]
    start = np.repeat([pieces[at].start for at, _, _ in kept], lengths)
    interval = np.repeat([pieces[at].interval for at, _, _ in kept], lengths)
    place = np.concatenate([np.arange(low, high) for _, low, high in kept])
    time = start + place * interval
    weight = np.repeat([raw(pieces[at].interval, rate) for at, _, _ in kept], lengths)
    firsts = np.cumsum([0, *lengths[:-1]])
    opening = np.zeros(len(time), bool)
    opening[firsts] = True
    gaps = _gaps(running, time, interval, firsts, rate)
    if gaps:
        where = [at for at, times, _ in gaps for _ in times]
        time = np.insert(time, where, [t for _, times, _ in gaps for t in times])
        weight = np.insert(weight, where, [w for _, _, weights in gaps for w in weights])
        mean, rms = np.insert(mean, where, 0), np.insert(rms, where, 0)
        interval = np.insert(interval, where, interval[where])
        # The records of a gap count as the first of the frame that comes after it.
        opening[[at for at, _, _ in gaps]] = False
        opening = np.insert(opening, where, [i == 0 for _, times, _ in gaps for i in range(len(times))])
    valid = mean != 0
    good = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))
    mean = np.where(good >= 0, mean[good], mean.dtype.type(running.mean))
    rms = np.where(good >= 0, rms[good], rms.dtype.type(running.rms))
    total, square = _accumulate(running.total, mean, weight), _accumulate(running.square, rms * rms, weight)
    made = np.empty(len(time), dtype)
    made["valid"] = np.where(valid, records.VALID, records.INVALID)
    made["time"], made["sum"], made["square"] = time, total, square
    step = np.diff(time, prepend=running.last)
    before = np.concatenate(([running.listed], step[:-1]))
    entry = (np.abs(step - before) >= records.CHANGE) | (opening & (np.abs(step - interval) >= records.CHANGE))
    index = np.empty(np.count_nonzero(entry), records.INDEX)
    index["time"] = np.concatenate(([running.last], time[:-1]))[entry]
    index["interval"] = step[entry]
    ends = Running(*(x.item() for x in (total[-1], square[-1], time[-1], interval[-1], step[-1], mean[-1], rms[-1])))
    return made, index, ends


def arrange(pieces: Sequence[FramePiece], reach: float) -> list[tuple[int, int, int]]:
    """Which samples of pieces become records: [(piece number, first, one past the last)], in time order.

    Of samples that overlap, second trend is kept before minute trend, and of one trend the piece that begins first.
    Nothing that begins before the GPS time `reach` is kept.
    """
    order = sorted(range(len(pieces)), key=lambda at: (pieces[at].start, pieces[at].end))
    end, plain = reach, True
    for at in order:
        plain = plain and pieces[at].start >= end
        end = max(end, pieces[at].end)
    if plain:
        return [(at, 0, len(pieces[at].mean)) for at in order]
    kept: list[tuple[int, int, int]] = []
    covered: list[tuple[float, float]] = []
    for fine in (True, False):
        end = reach
        for at in order:
            piece = pieces[at]
            if piece.fine != fine:
                continue
            low = _first_from(piece, end)
            spans = [(low, len(piece.mean))] if low < len(piece.mean) else []
            end = max(end, piece.end)
            if not fine:
                spans = [rest for span in spans for rest in _outside(piece, span, covered)]
            kept += [(at, *span) for span in spans]
        covered = [(_time(pieces[at], low), _time(pieces[at], high)) for at, low, high in kept]
    return sorted(kept, key=lambda each: _time(pieces[each[0]], each[1]))


def _time(piece, at):
    return piece.start + at * piece.interval


def _first_from(piece, time):
    """The first sample of a piece that begins at or after a time."""
    if piece.start >= time:
        return 0
    return int(min(np.ceil((time - piece.start) / piece.interval - 1e-6), len(piece.mean)))


def _outside(piece, span, covered):
    """The parts (first, one past the last) of samples [low, high) of a piece that no covered span overlaps."""
    low, high = span
    for begin, end in sorted(covered):
        if end <= _time(piece, low) or begin >= _time(piece, high):
            continue
        # Samples before the one that the covered span begins in.
        before = int(np.floor((begin - piece.start) / piece.interval + 1e-6))
        if before > low:
            yield low, before
        low = max(low, _first_from(piece, end))
        if low >= high:
            return
    yield low, high


def cleaned(pieces: Sequence[FramePiece], sums: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """mean and rms of all pieces, one after another, in the type of the sums, with 0 where there is no data.

    A zero also zeroes its neighbours, as they are averages over partly missing data.  The second sample of a piece is
    spared if only the first is zero, as the original does.
    """
    mean = np.concatenate([piece.mean for piece in pieces])
    rms = np.concatenate([piece.rms for piece in pieces])
    bad = None
    if mean.dtype.kind == "f":
        # A value whose square overflows is no data either.
        with np.errstate(over="ignore", invalid="ignore"):
            mean, rms = mean.astype(sums), rms.astype(sums)
            sound = np.isfinite(mean) & np.isfinite(rms * rms)
        bad = None if sound.all() else ~sound
    else:
        mean, rms = mean.astype(sums), rms.astype(sums)
    if any(piece.bad is not None for piece in pieces):
        marked = [np.zeros(len(piece.mean), bool) if piece.bad is None else piece.bad for piece in pieces]
        bad = np.concatenate(marked) | (False if bad is None else bad)
    if bad is not None:
        mean[bad] = rms[bad] = 0
    first = np.zeros(len(mean), bool)
    first[np.cumsum([0, *(len(piece.mean) for piece in pieces[:-1])])] = True
    inner = ~first[1:]
    for values in (mean, rms):
        zero = values == 0
        if zero.any():
            values[:-1][zero[1:] & inner] = 0
            values[1:][zero[:-1] & inner & ~first[:-1]] = 0
    return mean, rms


def _gaps(running, time, interval, firsts, rate):
    """[(place, times, weights)] of the records that stand for a gap before the sample at that place."""
    found = []
    for at in firsts:
        last, step = (time[at - 1], interval[at - 1]) if at else (running.last, running.interval)
        if not last > 0 or not time[at] - last > step:
            continue
        early, late = last + 1 / rate, time[at] - 1 / rate
        if late <= early:
            found.append((at, [early], [1]))
        else:
            # The raw samples of the gap without the one at each of its ends.
            inside = int((time[at] - last) * rate - 2)
            found.append((at, [early, late], [1, min(max(inside, 0), records.MOST_WEIGHT)]))
    return found


def _accumulate(begin, values, weight):
    """The running sum of values * weight, from begin on: added one after another, as the bytes depend on the order."""
    if values.dtype.kind == "i" and abs(float(begin)) + float(np.abs(values.astype(float) * weight).sum()) >= 2.0**63:
        raise Overflow
    with np.errstate(over="ignore", invalid="ignore"):
        terms = values * weight
        sums = np.add.accumulate(np.concatenate((np.array([begin], values.dtype), terms)))[1:]
    if values.dtype.kind == "f" and not np.isfinite(sums[-1]):
        raise Overflow
    return sums
