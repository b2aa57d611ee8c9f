"""What some files gave, until it is written: the pieces of each stream, most of them rows that many streams share."""

from typing import NamedTuple

import numpy as np

from . import samples, sums, tree

# A batch is written after so many bytes of samples, for the memory's sake, and files, so that a kill loses little.
_BYTES, _FILES = 1 << 26, 512


class Fitting(NamedTuple):
    """Channels that are alike, and whose streams take their samples.

    streams, channels: the names of each; numbers: int array, which of the rows of a samples.Frame it is.
    """

    streams: list[str]
    channels: list[str]
    numbers: np.ndarray


class Batch:
    """What some files gave, until it is written.

    good: the new files that could be read; read: how many files were read for it.
    """

    def __init__(self) -> None:
        self.good: list[tree.TrendFile] = []
        self.read = self._bytes = self._count = 0
        # By stream what came of it alone, and in which sets it is, as which of the streams there.
        self._alone: dict[str, list[tuple[int, tree.TrendFile, samples.ChannelTrend]]] = {}
        self._places: dict[str, list[tuple[_Set, int]]] = {}
        self._sets: dict[int, _Set] = {}

    def add(self, name: str, found: samples.ChannelTrend, file: tree.TrendFile) -> None:
        """Add what a file has of a stream."""
        self._alone.setdefault(name, []).append((self._count, file, found))
        self._count += 1
        self._bytes += sum(piece.mean.nbytes + piece.rms.nbytes for piece in found.pieces)

    def add_alike(self, fitting: Fitting, frames: list[samples.Frame], file: tree.TrendFile) -> None:
        """Add what a file has of many streams; fitting: the same object for files that are alike."""
        held = self._sets.get(id(fitting))
        if held is None:
            held = self._sets[id(fitting)] = _Set(fitting)
            for at, name in enumerate(fitting.streams):
                self._places.setdefault(name, []).append((held, at))
        for frame in frames:
            held.add(self._count, file, frame)
            self._count += 1
            self._bytes += frame.data.nbytes

    @property
    def streams(self) -> list[str]:
        """The names of the streams of which it has something."""
        return list(dict.fromkeys([*self._places, *self._alone]))

    @property
    def full(self) -> bool:
        """Whether it is time to write it."""
        return self._bytes > _BYTES or self.read >= _FILES

    def pieces(self, name: str) -> list[sums.FramePiece]:
        """All pieces of a stream, in the order in which they came."""
        found = [(number, trend.pieces) for number, _, trend in self._alone.get(name, [])]
        for held, at in self._places.get(name, []):
            found += [(number, [held.piece(frame, at)]) for number, _, frame in held.frames]
        return [piece for _, pieces in sorted(found, key=lambda each: each[0]) for piece in pieces]

    def sources(self, name: str) -> list[tuple[tree.TrendFile, str]]:
        """(file, channel) of all that it has of a stream, in the order in which that came."""
        found = [(number, file, trend.channel) for number, file, trend in self._alone.get(name, [])]
        for held, at in self._places.get(name, []):
            found += [(number, file, held.fitting.channels[at]) for number, file, _ in held.frames]
        return list(dict.fromkeys((file, channel) for _, file, channel in sorted(found, key=lambda each: each[0])))

    def extend(
        self, name: str, running: sums.Running, rate: float, datatype: str
    ) -> tuple[np.ndarray, np.ndarray, sums.Running]:
        """What sums.extend gives of all pieces of a stream."""
        if name in self._alone:
            return sums.extend(running, rate, datatype, self.pieces(name))
        places = self._places[name]
        spans = np.concatenate([held.spans(at) for held, at in places])
        if len(places) > 1:
            spans = spans[np.argsort(np.concatenate([held.order for held, _ in places]))]
        return sums.extend_spans(running, rate, datatype, spans, lambda: self.pieces(name))


class _Set:
    """What files that are alike gave of the streams of a Fitting.

    frames: (number in the order in which all came, file, Frame).
    """

    def __init__(self, fitting: Fitting) -> None:
        self.fitting = fitting
        self.frames: list[tuple[int, tree.TrendFile, samples.Frame]] = []
        self._known: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, number: int, file: tree.TrendFile, frame: samples.Frame) -> None:
        """Add a frame."""
        self.frames.append((number, file, frame))
        self._known = None

    def piece(self, frame: samples.Frame, at: int) -> sums.FramePiece:
        """The FramePiece of a stream in a frame."""
        return frame.piece(int(self.fitting.numbers[at]))

    @property
    def order(self) -> np.ndarray:
        """The numbers of the frames."""
        return np.array([number for number, _, _ in self.frames])

    def spans(self, at: int) -> np.ndarray:
        """All pieces of a stream, as sums.SPAN."""
        if self._known is None:
            self._known = self._columns()
        spans, addresses = self._known
        spans = spans.copy()
        spans["mean"], spans["rms"], spans["bad"] = addresses[at]
        return spans

    def _columns(self):
        """(sums.SPAN of each frame, the addresses of each stream: uint64 (streams, 3, frames))."""
        spans, numbers = np.zeros(len(self.frames), sums.SPAN), self.fitting.numbers
        addresses = np.zeros((len(numbers), 3, len(self.frames)), np.uint64)
        for at, (_, _, frame) in enumerate(self.frames):
            data, bad, (height, count) = frame.data, frame.bad, frame.data.shape
            # The memory is read past numpy, so all of this has to hold.
            assert data.flags.c_contiguous and numbers.min() >= 0
            spans[at] = frame.start, frame.interval, count, 0, count, 0, 0, 0
            for column, rows in enumerate((frame.means[numbers], frame.rms[numbers])):
                assert rows.min() >= 0 and rows.max() < height
                addresses[:, column, at] = data.ctypes.data + rows * data.strides[0]
            if bad is not None:
                assert bad.flags.c_contiguous and bad.dtype == bool and bad.shape == (len(frame.means), count)
                addresses[:, 2, at] = bad.ctypes.data + numbers * count
        return spans, addresses
