"""Which samples a tree of trend frames should give the streams, by the rules of their format, read through gwpy.

This is for `against`.  It is written anew and uses nothing of the importer, so that a fault there is not repeated here.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ... import gwf
from ...day import second
from .. import records
from ..records import SAME

SITES = ("LHO", "LLO")
_ENDS = _MEAN, _RMS = ".mean", ".rms"
_TRENDS = (
    ("second-trend", re.compile(r"[HL]-T-(\d{1,15})-(60|600)\.gwf")),
    ("minute-trend", re.compile(r"[HL]-M-(\d{1,15})-(3600)\.gwf")),
)
_FOLDER = re.compile(r"[HL]-.+")


class TreeFile(NamedTuple):
    """A frame file of the tree: its span in GPS s, as its name tells it, and whether it is second trend."""

    start: int
    end: int
    path: str
    fine: bool


class TrendPiece(NamedTuple):
    """A channel in one frame.

    start: GPS s of its first sample; length: seconds between samples; fine: whether it is second trend.
    mean, rms: as the sums take them, shape (samples,), 0 where there is no data; known: whether gwpy could read them.
    """

    start: float
    length: float
    fine: bool
    mean: np.ndarray
    rms: np.ndarray
    known: bool


class TrendChannel(NamedTuple):
    """A channel in one file: its datatype, calibration if it has one, and a TrendPiece for each frame that has it."""

    datatype: str
    calibration: gwf.Calibration | None
    pieces: list[TrendPiece]


class Expected(NamedTuple):
    """Samples that should be in a stream, in time order: arrays of one length.

    time: GPS s; length: in s; mean, rms, known: as of TrendPiece; piece: the number of the one that each is from.
    """

    time: np.ndarray
    length: np.ndarray
    mean: np.ndarray
    rms: np.ndarray
    known: np.ndarray
    piece: np.ndarray

    @property
    def end(self) -> np.ndarray:
        """GPS s at which each sample ends."""
        return self.time + self.length


def clusters(root: str, site: str) -> list[list[TreeFile]]:
    """Lists of TreeFiles of a site in time order; files of different lists never overlap.  Strays are left out."""
    found: list[list[TreeFile]] = []
    for file in sorted(_files(root, site)):
        if not found or file.start >= max(other.end for other in found[-1]):
            found.append([])
        found[-1].append(file)
    return found


def _files(root, site):
    for trend, pattern in _TRENDS:
        top = os.path.join(root, trend, site)
        seen = set()
        for place in sorted(os.listdir(top)) if os.path.isdir(top) else ():
            folder = os.path.join(top, place)
            if not _FOLDER.fullmatch(place) or not os.path.isdir(folder):
                continue
            for name in sorted(os.listdir(folder)):
                match, path = pattern.fullmatch(name), os.path.join(folder, name)
                if match and name not in seen and not os.path.isdir(path):
                    seen.add(name)
                    yield TreeFile(int(match[1]), int(match[1]) + int(match[2]), path, trend == "second-trend")


def read(file: TreeFile) -> list[tuple[str, TrendChannel]]:
    """[(stream name, channel)] of the channels of a file that a stream can hold.  Raises gwf.BadFrame and OSError."""
    source = gwf.open_file(file.path)
    spans = [(seconds + nanoseconds * 1e-9, duration) for seconds, nanoseconds, duration in source.frames]
    if any(start < file.start - SAME or start + duration > file.end + SAME for start, duration in spans):
        raise gwf.BadFrame("its name tells another time")
    kinds = source.kinds
    stems = [name[: -len(_MEAN)] for name in kinds if name.endswith(_MEAN)]
    stems = [stem for stem in stems if kinds.get(stem + _RMS) == kinds[stem + _MEAN]]
    calibrations = source.calibrations([stem + _MEAN for stem in stems])
    again = [second.read(file.path, [stem + end for stem in stems for end in _ENDS], *span) for span in spans]
    found = []
    for stem in stems:
        with contextlib.suppress(gwf.BadFrame):  # one channel of it
            datatype, pieces = _pieces(source, stem, spans, again, file.fine)
            if datatype:
                found.append(
                    (records.stream_name(stem), TrendChannel(datatype, calibrations.get(stem + _MEAN), pieces))
                )
    return found


def _pieces(source, stem, spans, again, fine):
    """(datatype, [TrendPiece]) of a channel in the frames of a file; datatype is None if no stream can hold it."""
    held = []
    for at, span in enumerate(spans):
        pair = [source.read(at, stem + end, source.kinds[stem + end]) for end in _ENDS]
        if any(series is not None for series in pair):
            held.append((span, pair, [again[at].get(stem + end) for end in _ENDS]))
    datatype = _datatype([(pair, duration) for (_, duration), pair, _ in held])
    if datatype is None:
        return None, []
    return datatype, [_piece(span, fine, pair, values, records.SUMS[datatype]) for span, pair, values in held]


def _datatype(pairs):
    """The datatype of all of some ((mean, rms), seconds of their frame); None if no stream can hold them."""
    kinds = set()
    for pair, duration in pairs:
        for series in pair:
            if series is None or series.problem or not len(series.data) or abs(series.offset) > SAME:
                return None
            if abs(series.dt * len(series.data) - duration) > SAME * duration:
                return None
            kinds.add(series.data.dtype)
        if len(pair[0].data) != len(pair[1].data):
            return None
    return records.DATATYPES.get(kinds.pop()) if len(kinds) == 1 else None


def _piece(span, fine, pair, values, dtype):
    start, duration = span
    count = len(pair[0].data)
    known = all(
        held is not None and held.shape == (count,) and held.dtype == series.data.dtype
        for held, series in zip(values, pair, strict=True)
    )
    if not known:
        values = [np.zeros(count, dtype), np.zeros(count, dtype)]
    # gwpy does not give what the frame itself marks as bad.
    good = [series.good for series in pair if series.good is not None]
    mean, rms = without_bad(values[0], values[1], np.logical_and.reduce(good) if good else None, dtype)
    return TrendPiece(float(start), duration / count, fine, mean, rms, known)


def without_bad(mean: np.ndarray, rms: np.ndarray, good: np.ndarray | None, dtype: np.dtype) -> list[np.ndarray]:
    """[mean, rms] as sums of a dtype take them: 0 where there is no data, and beside a 0.

    good: bool array, False where the frame has no data; None: all good.  A zero in mean does not spread to rms, nor the
    other way, and a zero in the first sample of a file does not spread to the second.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        bad = ~np.isfinite(mean.astype(float)) | ~np.isfinite(rms.astype(float) ** 2)
    if good is not None:
        bad |= ~good
    found = []
    for values in (mean, rms):
        held = np.where(bad, 0, values).astype(dtype)
        zero = held == 0
        spread = zero.copy()
        spread[:-1] |= zero[1:]
        spread[2:] |= zero[1:-1]
        found.append(np.where(spread, dtype.type(0), held))
    return found


def expected(pieces: Iterable[TrendPiece]) -> Expected:
    """The samples of the pieces of one stream: where they overlap second trend goes first, then the first in time.

    A sample of minute trend that second trend covers even in part is left out.
    """
    pieces = sorted(pieces, key=lambda piece: (piece.start, piece.start + len(piece.mean) * piece.length))
    fine = _in_turn([piece for piece in pieces if piece.fine], 0)
    coarse = _in_turn([piece for piece in pieces if not piece.fine], len(pieces))
    if fine and coarse:
        after = np.searchsorted(fine.end, coarse.time + SAME)
        next_one = np.append(fine.time, np.inf)[after]
        coarse = _some(coarse, next_one >= coarse.end - SAME)
    both = [part for part in (fine, coarse) if part]
    joined = Expected(*map(np.concatenate, zip(*both, strict=True)))
    return _some(joined, np.argsort(joined.time, kind="stable"))


def _in_turn(pieces, number):
    """The samples of pieces of one trend, each without what an earlier one covers; None for no piece."""
    parts, reach = [], -np.inf
    for at, piece in enumerate(pieces):
        count = len(piece.mean)
        time, length = piece.start + np.arange(count) * piece.length, np.full(count, piece.length)
        known, place = np.full(count, piece.known), np.full(count, number + at)
        parts.append(_some(Expected(time, length, piece.mean, piece.rms, known, place), time >= reach - SAME))
        reach = max(reach, piece.start + count * piece.length)
    return Expected(*map(np.concatenate, zip(*parts, strict=True))) if parts else None


def _some(held, which):
    return Expected(*(part[which] for part in held))
