"""Which frame file gave what: masks by frame-file slot, and the gaps that they tell."""

import math

import numpy as np

from ..frames import catalog
from ..gps import Window


def pairs(window: Window, increment: int, near: list, runs: list) -> list:
    """Which files meet which increments: [(index of the frame, increment)], within runs of seconds.

    increment: its length in s.  near: [(index, catalog.Frame)].  runs: [(begin, stop)] in seconds from the window's
    start.  What a file gave is known for each increment that it touches, as a day is rebuilt by whole increments.
    """
    found = []
    for at, frame in near:
        begin, end = frame.start - window.start, frame.end - window.start
        for run_begin, run_stop in runs:
            a, b = max(begin, run_begin, 0), min(end, run_stop, window.duration)
            if a < b:
                found += [(at, number) for number in range(math.floor(a / increment), math.ceil(b / increment))]
    return sorted(set(found))


def masks(listing: list, window: Window, rows: dict, gave: np.ndarray) -> list:
    """The mask of each channel: one character a slot of catalog.slots, '1' where the file gave a sample.

    gave: array (rows, channels), 0 where nothing was given; rows: {index of a frame: its rows}.
    Returns the masks as texts, one a channel.
    """
    slots = catalog.slots(listing, window)
    bits = np.full((len(slots), gave.shape[1]), ord("0"), dtype=np.uint8)
    for slot, (_, _, at) in enumerate(slots):
        if at in rows:
            bits[slot] += gave[rows[at]].any(axis=0)
    return [column.tobytes().decode("ascii") for column in np.ascontiguousarray(bits.T)]


def missing_spans(seconds: list, mask: str, window: Window | None = None) -> list:
    """Stretches of zeros of a mask as [(start, end)] in GPS; seconds: the slots' [(start, end, ...)].

    window: tell only what is within it; a frame file may begin on the day before.
    """
    spans: list = []
    for (start, end, *_), character in zip(seconds, mask, strict=True):
        if character == "0":
            if spans and spans[-1][1] >= start:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
    if window:
        clipped = ((max(start, window.start), min(end, window.end)) for start, end in spans)
        spans = [(start, end) for start, end in clipped if start < end]
    return spans


def stretches(flags: np.ndarray) -> list:
    """Runs of True as half-open pairs of positions."""
    if not flags.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.view(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
