"""The compiled code of the streams against numpy, on any pieces and records; loads little, as it also runs under
sanitizers."""

import numpy as np
from framemake.streams import envelope, records
from framemake.streams.intake import sums
from framemake.streams.intake.sums import FramePiece, Running
from framemake.streams.records import Info
from framemake.streams.store import Stream
from hypothesis import given
from hypothesis import strategies as some

START = 1148000400.0
DTYPES = {"float": "f4", "double": "f8", "int": "i4"}
ODD = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1e-40, 3e38, 1e200, -1e160]


@some.composite
def values(draw, datatype, count):
    """Samples, as a frame has them: most are ordinary, some are no data, zero, or all that a sum can hold."""
    if datatype == "int":
        each = some.integers(-1000, 1000) | some.sampled_from([0, 0, 2**31 - 1, -(2**31)])
    else:
        each = some.floats(-900, 900, width=32) | some.sampled_from(ODD)
    with np.errstate(over="ignore"):
        return np.array(draw(some.lists(each, min_size=count, max_size=count))).astype(DTYPES[datatype])


@some.composite
def pieces(draw, datatype):
    """Pieces of frames, in order or not, with gaps between or not, that overlap or not."""
    found, at = [], START
    for _ in range(draw(some.integers(1, 5))):
        fine = draw(some.booleans())
        interval = draw(some.sampled_from([1.0, 1 / 3, 2.0] if fine else [60.0]))
        count = draw(some.integers(1, 12))
        at += draw(some.sampled_from([0, 0, 0, 0.5, 1, 2, 7, 60, 1e5, -3, -60]))
        bad = draw(some.none() | some.lists(some.booleans(), min_size=count, max_size=count))
        mean, rms = draw(values(datatype, count)), draw(values(datatype, count))
        found.append(FramePiece(at, interval, mean, rms, None if bad is None else np.array(bad, bool), fine))
        at += count * interval
    return found


@some.composite
def standing(draw, datatype):
    """Where a stream stands: nowhere yet, or behind, in or before the pieces."""
    if draw(some.booleans()):
        return Running()
    whole = datatype == "int"
    number = some.integers(-(2**40), 2**40) if whole else some.floats(-1e12, 1e12)
    total, square, mean, rms = (draw(number) for _ in range(4))
    if whole:
        mean, rms = mean % 2**31, rms % 2**31
    steps = some.sampled_from([1.0, 60.0, 1 / 3])
    return Running(total, abs(square), START + draw(some.integers(-500, 20)), draw(steps), draw(steps), mean, rms)


def told(way, *given):
    """The bytes that come of it, or the name of what is raised."""
    try:
        made, index, ends = way(*given)
    except sums.Overflow:
        return "overflow"
    # As text: -0.0 is another than 0.0, and a NaN is itself.
    return made.tobytes(), index.tobytes(), repr(ends)


def spans_of(found):
    """Whole pieces, as a batch gives them."""
    spans = np.zeros(len(found), sums.SPAN)
    for at, piece in enumerate(found):
        flags = 0 if piece.bad is None else piece.bad.ctypes.data
        addresses = piece.mean.ctypes.data, piece.rms.ctypes.data, flags
        spans[at] = (piece.start, piece.interval, len(piece.mean), 0, len(piece.mean), *addresses)
    return spans


def by_numpy(running, rate, datatype, found):
    kept = sums.arrange(found, running.reach if running.last > 0 else -np.inf)
    return sums._by_numpy(running, rate, datatype, found, kept)


@given(some.sampled_from(list(DTYPES)), some.data())
def records_are_the_same(datatype, data):
    """The same records come of the same samples, whichever way they are given."""
    found, running = data.draw(pieces(datatype)), data.draw(standing(datatype))
    rate = data.draw(some.sampled_from([1, 4, 16, 256, 2048, 16384.0]))
    if any(sums.raw(piece.interval, rate) < 1 for piece in found):
        rate = 4
    want = told(by_numpy, running, rate, datatype, found)
    assert told(sums.extend, running, rate, datatype, found) == want
    assert told(sums.extend_spans, running, rate, datatype, spans_of(found), lambda: found) == want


@some.composite
def streams(draw):
    """A stream, with gaps, other steps, records that are not valid, and sums that are none."""
    datatype = draw(some.sampled_from(list(DTYPES)))
    dtype, rate = records.record(datatype), draw(some.sampled_from([1, 16, 256]))
    chance = np.random.default_rng(draw(some.integers(0, 2**32)))
    made, index, running = [], [], Running()
    at = START
    for _ in range(draw(some.integers(1, 4))):
        interval, count = draw(some.sampled_from([1.0, 60.0])), draw(some.integers(1, 400))
        at += draw(some.sampled_from([0, 0, 60, 61, 7200]))
        mean = chance.normal(0, 100, count).astype(DTYPES[datatype])
        mean[chance.random(count) < draw(some.sampled_from([0, 0.02, 0.5]))] = 0
        part, entries, running = sums.extend(
            running, rate, datatype, [FramePiece(at, interval, mean, abs(mean) + mean.dtype.type(1), None, True)]
        )
        made.append(part)
        index.append(entries)
        at += count * interval
    held = np.concatenate(made)
    if draw(some.booleans()):
        some_of = chance.random(len(held)) < 0.01
        held["sum"][some_of] = 0 if datatype == "int" else draw(some.sampled_from([np.nan, np.inf, -np.inf, 0]))
        held["square"][some_of] = 0
    index = np.concatenate(index)
    if draw(some.booleans()):
        index = index[: draw(some.integers(0, len(index)))]
    assert held.dtype == dtype
    return Stream("H0:X", Info(datatype, 32, 0.5, -2.0, "counts"), rate, held, index)


@given(streams(), some.data())
def envelopes_are_the_same(stream, data):
    """The same entries come of the same records, from any block on."""
    whole = len(stream.records) // envelope.BLOCK
    first = data.draw(some.integers(0, max(0, whole - 1)))
    made = [np.empty(whole - first, envelope._ENTRY) for _ in range(2)]
    if first < whole:
        envelope._compiled(stream, first, whole, made[0])
        envelope._by_numpy(stream, first, whole, made[1])
    assert made[0].tobytes() == made[1].tobytes()


def only_what_is_in_order_and_in_bounds_is_taken():
    """All else is left to numpy; and what is in order is not, or nothing here would have been tried."""
    ones = np.ones(5, "f4")
    first, second = (FramePiece(START + at, 1.0, ones, ones, None, True) for at in (0, 5))
    for given_, arranged, done in (
        (spans_of([first, second]), False, True),
        (spans_of([second, first]), False, False),
        (spans_of([first, first]), False, False),
        (spans_of([second, first]), True, True),
    ):
        assert (sums._compiled(Running(), 16, "float", given_, arranged) is not None) == done
    wrong = spans_of([first])
    bounds = ("high", 6), ("low", -1), ("low", 5), ("count", 4), ("count", 0)
    for field, value in (*bounds, ("mean", 0), ("rms", 0), ("start", np.nan)):
        one = wrong.copy()
        one[field] = value
        assert sums._compiled(Running(), 16, "float", one, True) is None, field
    for interval in (-1.0, np.nan, np.inf, 1e300):
        one = wrong.copy()
        one["interval"] = interval
        assert sums._compiled(Running(), 16, "float", one, True) is None, interval
