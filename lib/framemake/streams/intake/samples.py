"""What a frame file of the tree gives the streams: mean and rms of each channel, and what is wrong with the rest."""

import functools
import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from ... import gwf
from .. import records
from . import sums, tree

_MEAN, _RMS, _N = ".mean", ".rms", ".n"
# A batch is written after so many bytes of samples, for the memory's sake, and files, so that a kill loses little.
_BATCH_BYTES, _BATCH_FILES = 1 << 26, 512
_stream_name = functools.lru_cache(maxsize=100_000)(records.stream_name)


class ChannelTrend(NamedTuple):
    """A channel in a file: its name without .mean, the stream's datatype, its calibration, and a FramePiece a frame.

    calibration: None where the frame has none.
    """

    channel: str
    datatype: str
    calibration: gwf.Calibration | None
    pieces: list[sums.FramePiece]

    @property
    def info(self) -> records.Info:
        """The Info of a stream that begins with it; without a calibration slope 1 and bias 0."""
        if self.calibration is None:
            return records.Info(self.datatype, 8 * self.pieces[0].mean.dtype.itemsize, 0.0, 1.0, "")
        bias, slope, nbits, units = self.calibration
        return records.Info(self.datatype, nbits, bias, slope, units)


class Contents(NamedTuple):
    """{stream name: ChannelTrend} of a file, and [(channel or stream, what is wrong with it)] of what was left out."""

    found: dict[str, ChannelTrend]
    faults: list[tuple[str, str]]


class Batch:
    """What some files gave, until it is written.

    pieces: by stream; sources: {stream: [(file, channel) that gave them]}; good: the new files that could be read;
    read: how many files were read for it.
    """

    def __init__(self) -> None:
        self.pieces: dict[str, list[sums.FramePiece]] = {}
        self.sources: dict[str, list[tuple[tree.TrendFile, str]]] = {}
        self.good: list[tree.TrendFile] = []
        self.read = self._bytes = 0

    def add(self, name: str, found: ChannelTrend, file: tree.TrendFile) -> None:
        """Add what a file has of a stream."""
        self.pieces.setdefault(name, []).extend(found.pieces)
        self.sources.setdefault(name, []).append((file, found.channel))
        self._bytes += sum(piece.mean.nbytes + piece.rms.nbytes for piece in found.pieces)

    @property
    def full(self) -> bool:
        """Whether it is time to write it."""
        return self._bytes > _BATCH_BYTES or self.read >= _BATCH_FILES


class _Unusable(Exception):
    """What is wrong with one channel in one file."""


def streams_of(path: str) -> set[str]:
    """The names of the streams of which a file has a .mean.  Raises gwf.BadFrame and OSError."""
    kinds = _twice(lambda: gwf.open_file(path).kinds)
    return {_stream_name(name[: -len(_MEAN)]) for name in kinds if name.endswith(_MEAN)}


def read(file: tree.TrendFile, wanted: Collection[str] | None = None, calibrated: bool = True) -> Contents:
    """The Contents of a file, of all streams or of those in `wanted`.

    calibrated: look for calibrations as well.  Raises gwf.BadFrame if nothing of the file can be used, and OSError.
    """
    contents, doubtful = _twice(lambda: _read(file, wanted, calibrated))
    return _read(file, wanted, calibrated)[0] if doubtful else contents


def _twice(attempt):
    """What an attempt gives, if need be a second one: a disk or server may fail once, even behind a BadFrame."""
    try:
        return attempt()
    except (gwf.BadFrame, OSError):
        return attempt()


def _read(file, wanted, calibrated):
    """(Contents, whether a channel could not be read)."""
    source = gwf.open_file(file.path)
    spans = _spans(source.frames, file)
    chosen, faults = _chosen(source.kinds, wanted)
    means, all_rms, known = _series(source, list(chosen.values()), len(spans))
    unknown = [channel + _MEAN for channel in chosen.values() if channel + _MEAN not in known]
    if calibrated and unknown:
        known.update(source.calibrations(unknown))
    found, doubtful = {}, False
    for stream, channel, mean, rms in zip(chosen, chosen.values(), means, all_rms, strict=True):
        try:
            datatype, pieces = _pieces(mean, rms, spans, file.fine)
            found[stream] = ChannelTrend(channel, datatype, known.get(channel + _MEAN), pieces)
        except (_Unusable, gwf.BadFrame) as error:
            faults.append((channel, str(error)))
            doubtful |= isinstance(error, gwf.BadFrame)
    reasons = {reason for _, reason in faults}
    if len(faults) > 1 and len(reasons) == 1 and not found:
        raise gwf.BadFrame(f"no channel of it can be used: {reasons.pop()}")
    return Contents(found, faults), doubtful


def raw_rate(path: str, channel: str) -> int | None:
    """Raw samples a second by the .n trend of a channel: n / interval; None if there is none or it is no whole number.

    Raises gwf.BadFrame and OSError.
    """
    source = gwf.open_file(path)
    kind = source.kinds.get(channel + _N)
    series = source.read(0, channel + _N, kind) if kind else None
    if series is None or series.data is None or not series.dt > 0:
        return None
    # Where data is missing n is smaller: the full number of most samples counts.
    counts = series.data[series.data > 0] if series.good is None else series.data[(series.data > 0) & series.good]
    if not len(counts):
        return None
    values, times = np.unique(counts, return_counts=True)
    rate = float(values[np.argmax(times)]) / series.dt
    whole = round(rate) if math.isfinite(rate) else 0
    return whole if whole >= 1 and abs(rate - whole) < 1e-9 * whole else None


def choose_rate(name: str, path: str | None, channel: str | None) -> tuple[int, str]:
    """(R, message) of a stream, raw samples a second: by the table, else by the .n trend in a file, else 1.

    path, channel: the file, and the channel in it; None if there is no file.  The message is empty if R is the table's;
    otherwise it says what was taken.
    """
    known = records.table_rate(name)
    if known:
        return known, ""
    by_n = raw_rate(path, channel) if path and channel else None
    if by_n:
        return by_n, f"not in the table of rates: {by_n} raw samples a second, by its .n trend"
    return 1, "not in the table of rates, and no .n trend tells it: 1 raw sample a second is taken"


def _spans(frames, file):
    """(GPS start, seconds) of each frame; BadFrame if one lies outside of the span that the file's name gives."""
    spans = []
    for seconds, nanoseconds, duration in frames:
        start = seconds + nanoseconds * 1e-9
        if not duration > 0 or start < file.start - records.SAME or start + duration > file.end + records.SAME:
            raise gwf.BadFrame(f"a frame of it, {start:.10g} + {duration:g} s, lies outside of what its name tells")
        spans.append((float(start), float(duration)))
    if not spans:
        raise gwf.BadFrame("no frame in it")
    return spans


# Of the file before: (names, wanted streams, what _channels gave).
_before: list = [None, None, None]


def _chosen(kinds, wanted):
    """What _channels gives, to be changed at will."""
    if _before[0] is not kinds or _before[1] != wanted:
        _before[:] = kinds, None if wanted is None else frozenset(wanted), _channels(kinds, wanted)
    chosen, faults = _before[2]
    return chosen, list(faults)


def _channels(kinds, wanted):
    """{stream: channel} of the pairs of .mean and .rms among the names of a file, and the faults of the others."""
    chosen: dict[str, str] = {}
    faults: list[tuple[str, str]] = []
    for name in kinds:
        if not name.endswith((_MEAN, _RMS)):
            continue
        channel, _, ending = name.rpartition(".")
        stream = _stream_name(channel)
        if wanted is not None and stream not in wanted:
            continue
        other = channel + (_RMS if ending == "mean" else _MEAN)
        if other not in kinds or kinds[other] != kinds[name]:
            faults.append((channel, f".{ending} without {other[len(channel) :]}"))
        elif ending == "mean":
            if not channel or stream.startswith(".") or set(stream) & set("/\0\n\r") or len(stream.encode()) > 200:
                faults.append((channel, "a name that no file can have"))
            elif stream in chosen:
                faults.append((channel, f"another channel of the file is the same stream: {chosen[stream]!r}"))
            else:
                chosen[stream] = channel
    return chosen, faults


# What was asked of the file before: the files of a night have the same channels.
_asked: dict[tuple[str, ...], gwf.Wanted] = {}


def _series(source, channels, frames):
    """(of .mean, of .rms, calibrations): for each of the channels what gwf.read_many gives, an item a frame.

    calibrations: {channel with .mean: that of the first frame}, where it is known.
    """
    key = tuple(channels)
    if key not in _asked:
        _asked.clear()
        _asked[key] = gwf.Wanted([name + _MEAN for name in key] + [name + _RMS for name in key])
    wanted = _asked[key]
    by_frame = [gwf.read_many(source, 0, wanted)]
    known = wanted.calibrations()
    by_frame += [gwf.read_many(source, number, wanted) for number in range(1, frames)]
    of_all = list(zip(*by_frame, strict=True))
    return of_all[: len(key)], of_all[len(key) :], known


def _pieces(means, all_rms, spans, fine):
    """(datatype, a FramePiece for each frame with it) of a channel; _Unusable if these do not fill their frames."""
    pieces, dtypes = [], set()
    for number, (mean, rms, (start, duration)) in enumerate(zip(means, all_rms, spans, strict=True)):
        for series in (mean, rms):
            if isinstance(series, gwf.BadFrame):
                raise series
        if mean is None and rms is None:
            continue
        for ending, series in ((_MEAN, mean), (_RMS, rms)):
            if series is None:
                raise _Unusable(f"no {ending} in frame {number}")
            if series.problem:
                raise _Unusable(f"{ending}: {series.problem}")
            count = len(series.data)
            if not count:
                raise _Unusable(f"{ending} has no sample")
            if abs(series.dt * count - duration) > 1e-6 * duration or abs(series.offset) > records.SAME:
                raise _Unusable(f"{ending}: {count} samples of {series.dt:g} s do not fill the frame's {duration:g} s")
        dtypes |= {mean.data.dtype, rms.data.dtype}
        if len(mean.data) != len(rms.data):
            raise _Unusable(f"{len(mean.data)} samples of .mean, {len(rms.data)} of .rms")
        if len(dtypes) > 1 or mean.data.dtype not in records.DATATYPES:
            raise _Unusable(f"values of {' and '.join(sorted(map(str, dtypes)))}, which no stream holds")
        bad = None
        for series in (mean, rms):
            if series.good is not None:
                bad = ~series.good if bad is None else bad | ~series.good
        pieces.append(sums.FramePiece(start, duration / len(mean.data), mean.data, rms.data, bad, fine))
    if not pieces:
        raise _Unusable("no samples")
    return records.DATATYPES[dtypes.pop()], pieces
