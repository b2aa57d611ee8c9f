"""What a frame file of the tree gives the streams: mean and rms of each channel, and what is wrong with the rest."""

import functools
import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from ... import gwf
from .. import records
from . import sums, tree

_MEAN, _RMS, _N = ".mean", ".rms", ".n"
# So many kinds of files, and of ways in which their channels are alike, are kept in mind.
_MOST_KNOWN, _MOST_PAIRS = 8, 100
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


class Frame(NamedTuple):
    """The samples of many channels in one frame, as of a FramePiece.

    data: 2-D, rows of samples.  means, rms: shape (channels,), the row of each.  bad: bool array (channels, samples),
    or None.
    """

    start: float
    interval: float
    data: np.ndarray
    means: np.ndarray
    rms: np.ndarray
    bad: np.ndarray | None
    fine: bool

    def piece(self, at: int) -> sums.FramePiece:
        """The FramePiece of one channel."""
        bad = None if self.bad is None else self.bad[at]
        return sums.FramePiece(
            self.start, self.interval, self.data[self.means[at]], self.data[self.rms[at]], bad, self.fine
        )


class Alike(NamedTuple):
    """Channels of a file of which the samples are alike: the stream and name of each, and its samples frame by frame.

    first: what the first frame says of them.  numbers: of each channel there.  key: the same for any file in which all
    is the same but the times and the samples.
    """

    streams: list[str]
    channels: list[str]
    datatype: str
    frames: list[Frame]
    first: gwf.Alike
    numbers: list[int]
    key: tuple

    def trends(self) -> dict[str, ChannelTrend]:
        """{stream: ChannelTrend}."""
        known = self.first.calibrations()
        return {
            stream: ChannelTrend(channel, self.datatype, known.get(number), [frame.piece(at) for frame in self.frames])
            for at, (stream, channel, number) in enumerate(zip(self.streams, self.channels, self.numbers, strict=True))
        }


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
    together, contents = gather(file, wanted, calibrated)
    for alike in together:
        contents.found.update(alike.trends())
    return contents


def gather(
    file: tree.TrendFile, wanted: Collection[str] | None = None, calibrated: bool = True
) -> tuple[list[Alike], Contents]:
    """The same, but of channels that are alike together, and the Contents of the others."""
    together, contents, doubtful = _twice(lambda: _read(file, wanted, calibrated))
    return _read(file, wanted, calibrated)[:2] if doubtful else (together, contents)


def _twice(attempt):
    """What an attempt gives, if need be a second one: a disk or server may fail once, even behind a BadFrame."""
    try:
        return attempt()
    except (gwf.BadFrame, OSError):
        return attempt()


def _read(file, wanted, calibrated):
    """([Alike], Contents of the others, whether a channel could not be read)."""
    source = gwf.open_file(file.path)
    spans = _spans(source.frames, file)
    common = _common(source.kinds, wanted, file.fine)
    by_frame = [gwf.read_alike(source, number, common.asked) for number in range(len(spans))]
    together = _together(by_frame, common, spans, file.fine)
    left = common.chosen
    if together:
        done = {name for alike in together for name in alike.streams}
        left = {name: channel for name, channel in left.items() if name not in done}
    contents = Contents({}, list(common.faults))
    doubtful = bool(left) and _one_by_one(source, by_frame, common, left, spans, file.fine, calibrated, contents)
    reasons = {reason for _, reason in contents.faults}
    if len(contents.faults) > 1 and len(reasons) == 1 and not together and not contents.found:
        raise gwf.BadFrame(f"no channel of it can be used: {reasons.pop()}")
    return together, contents, doubtful


def _one_by_one(source, by_frame, common, left, spans, fine, calibrated, contents):
    """Add to the Contents what there is of channels, {stream: channel}; whether one of them could not be read."""
    series = [{**others, **dict(pair for some in alike for pair in some.each())} for alike, others in by_frame]
    known = {at: each for some in by_frame[0][0] for at, each in some.calibrations().items()}
    unknown = [channel + _MEAN for name, channel in left.items() if common.numbers[name] not in known]
    asked = source.calibrations(unknown) if calibrated and unknown else {}
    doubtful = False
    for stream, channel in left.items():
        at = common.numbers[stream]
        try:
            mean, rms = ([frame[number] for frame in series] for number in (at, at + len(common.chosen)))
            datatype, pieces = _pieces(mean, rms, spans, fine)
        except (_Unusable, gwf.BadFrame) as error:
            contents.faults.append((channel, str(error)))
            doubtful |= isinstance(error, gwf.BadFrame)
        else:
            calibration = known.get(at) or asked.get(channel + _MEAN)
            contents.found[stream] = ChannelTrend(channel, datatype, calibration, pieces)
    return doubtful


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


class _Pairs(NamedTuple):
    """The channels of which a gwf.Alike has mean and rms: stream, channel and number of each, and the rows of both."""

    streams: list[str]
    channels: list[str]
    numbers: list[int]
    means: np.ndarray
    rms: np.ndarray


class _Common:
    """What files with the same channels have in common, of one trend, as most files of a night have.

    chosen, faults: what _channels gives; numbers: {stream: number of its channel}.  asked: what is wanted of each
    frame: the means of all channels, and then their rms.
    """

    def __init__(self, kinds: Mapping[str, str], wanted: Collection[str] | None) -> None:
        self.kinds = kinds
        self.chosen, self.faults = _channels(kinds, wanted)
        self.numbers = {stream: number for number, stream in enumerate(self.chosen)}
        self.asked = gwf.Wanted([name + ending for ending in (_MEAN, _RMS) for name in self.chosen.values()])
        self._pairs: dict[tuple[bytes, bytes], _Pairs] = {}

    def pairs(self, alike: gwf.Alike) -> _Pairs:
        """The same object for those that have the same channels in the same rows."""
        key = alike.at.tobytes(), alike.rows.tobytes()
        if key not in self._pairs:
            rows = np.full(2 * len(self.chosen), -1)
            rows[alike.at] = alike.rows
            means, rms = rows[: len(self.chosen)], rows[len(self.chosen) :]
            both = np.flatnonzero((means >= 0) & (rms >= 0))
            names = list(self.chosen)
            streams = [names[at] for at in both.tolist()]
            channels = [self.chosen[name] for name in streams]
            if len(self._pairs) > _MOST_PAIRS:
                self._pairs.clear()
            self._pairs[key] = _Pairs(streams, channels, both.tolist(), means[both], rms[both])
        return self._pairs[key]


# Of the last few kinds of files.
_known: dict[tuple[int, frozenset[str] | None, bool], _Common] = {}


def _common(kinds, wanted, fine):
    """The _Common of the files with the channels of these kinds, of which these streams are wanted, of a trend."""
    key = id(kinds), None if wanted is None else frozenset(wanted), fine
    if key not in _known or _known[key].kinds is not kinds:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = _Common(kinds, wanted)
    return _known[key]


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


def _together(by_frame, common, spans, fine):
    """The Alike of a file; channels with a fault, or that are not the same in each frame, are in none."""
    found = []
    if len({len(alike) for alike, _ in by_frame}) > 1:
        return found
    for some in zip(*(alike for alike, _ in by_frame), strict=True):
        first, pairs = some[0], common.pairs(some[0])
        whole = all(not _misfit(each.shape, duration) for each, (_, duration) in zip(some, spans, strict=True))
        same = all(common.pairs(each) is pairs and each.data.dtype == first.data.dtype for each in some)
        if not (whole and same and pairs.streams and first.data.dtype in records.DATATYPES):
            continue
        frames = [_frame(each, pairs, *span, fine) for each, span in zip(some, spans, strict=True)]
        told = tuple(first.told[name].tobytes() for name in ("kind", "bias", "slope", "nbits", "units"))
        # The list is the same object where it is the same, as long as who keeps the key keeps it too.
        key = id(pairs.streams), tuple(frame.interval for frame in frames), *told, *first.texts
        datatype = records.DATATYPES[first.data.dtype]
        found.append(Alike(pairs.streams, pairs.channels, datatype, frames, first, pairs.numbers, key))
    return found


def _frame(alike, pairs, start, duration, fine):
    bad = None if alike.good is None else ~(alike.good[pairs.means] & alike.good[pairs.rms])
    return Frame(start, duration / alike.shape.samples, alike.data, pairs.means, pairs.rms, bad, fine)


def _misfit(shape, duration):
    """Why samples of a shape do not fill a frame of so many seconds; '' if they do."""
    if not shape.samples:
        return " has no sample"
    if abs(shape.dt * shape.samples - duration) > 1e-6 * duration or abs(shape.offset) > records.SAME:
        return f": {shape.samples} samples of {shape.dt:g} s do not fill the frame's {duration:g} s"
    return ""


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
            misfit = _misfit(gwf.Shape(series.data.dtype, len(series.data), series.dt, series.offset), duration)
            if misfit:
                raise _Unusable(f"{ending}{misfit}")
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
