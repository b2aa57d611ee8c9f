"""What is drawn of streams: the mean of the records in each point of a span, their least and their greatest."""

from collections.abc import Sequence

import numpy as np

from ..days import bins
from ..days.curves import Curve, Span
from ..errors import BadInput
from . import reading
from .store import Stream

# Records that are in memory at once.
_AT_ONCE = 100_000


def span_of(streams: Sequence[Stream], start: float | None, end: float | None) -> Span:
    """The span of a picture in GPS seconds: from the first sample of any to the end of the last, where it is not given.

    BadInput if nothing gives one, or it is empty.
    """
    some = [stream for stream in streams if len(stream.records)]
    if not some and (start is None or end is None):
        raise BadInput(f"the stream has no record: {streams[0].name!r}")
    begin = min(float(stream.records["time"][0]) for stream in some) if start is None else start
    stop = max(map(_end, some)) if end is None else end
    if not begin < stop:
        raise BadInput(f"the span is empty: {begin!r} to {stop!r}")
    return begin, stop


def _end(stream):
    last = reading.samples(stream, reading.MEAN, len(stream.records) - 1, len(stream.records))
    return float(last.time[0] + last.seconds[0])


def curve(stream: Stream, kind: str, span: Span, points: int, keep: Sequence[Span] | None = None) -> Curve:
    """The Curve of a stream; kind: 'mean' or 'rms'; keep: spans whose records are drawn, if not all are.

    Where records are longer than points, each is drawn over all of its length.
    """
    cut, made = bins.edges(*span, points=points), bins.Bins(points)
    if len(stream.records):
        # The record that goes on into the span begins before it.
        first, stop = reading.span(stream, *span)
        for at in range(max(0, first - 1), stop, _AT_ONCE):
            _take(made, cut, stream, kind, (at, min(stop, at + _AT_ONCE)), keep)
    return Curve(stream.name, stream.info.units, kind, cut, made.mean(), made.min, made.max)


def _take(made, cut, stream, kind, numbers, keep):
    seconds = reading.samples(stream, kind, *numbers).seconds
    times, values = reading.each(stream, kind, *numbers)
    good = np.isfinite(values) & (times < cut[-1]) & (times + seconds > cut[0])
    if keep is not None:
        good &= _inside(times, keep)
    times, seconds, values = times[good], seconds[good], values[good]
    low = np.clip(np.searchsorted(cut, times + 1e-6, side="right") - 1, 0, len(cut) - 2)
    high = np.clip(np.searchsorted(cut, times + seconds - 1e-6, side="left") - 1, low, len(cut) - 2)
    many = high - low + 1
    at = np.repeat(low, many) + np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    held = np.repeat(values, many)
    made.add(at, np.ones(len(held)), held, held, held)


def _inside(times, spans):
    """Which of some times lie in one of the spans, which are in order and apart."""
    if not len(spans):
        return np.zeros(len(times), dtype=bool)
    begins, ends = np.array(spans, dtype=float).T
    at = np.searchsorted(begins, times, side="right") - 1
    return (at >= 0) & (times < ends[np.maximum(at, 0)])
