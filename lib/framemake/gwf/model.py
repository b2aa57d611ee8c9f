"""What the readers of frame files share: the things that they give, their errors, and the rules for samples."""

import enum
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike

# The problem of a channel that this frame has nothing of; another may.
NO_DATA = "no data in the frame"
FREQUENCIES = "a frequency series"
INEXACT = "integers beyond 2^53, which no float holds"
CHECKSUM = "damaged: checksum does not match"
CUT = "cut short or damaged: no table of contents"
_EXACT = 2**53
# So many Shapes of channels are kept in mind.
_MOST_SHAPES = 1000


class BadFrame(Exception):
    """A file, or one channel of it, that cannot be read; the message is the reason alone."""


class Damaged(BadFrame):
    """What is there and is wrong, as a checksum tells: to read it once more gives the same."""


class Unreadable(BadFrame):
    """A file that the system does not give us, which says nothing of what is in it: another time it may."""


class Flaw(enum.IntFlag):
    """Why samples of a channel are missing though a frame file is there, as bits of a byte.

    The first five are what a frame says, as frames8.c has them; UNUSABLE is a channel that is no series of numbers.
    """

    DATA_VALID = 1
    MASK = 2
    AVAILABLE_DATA = 4
    NAN = 8
    INTEGER = 16
    GAP = 32
    NOT_IN_FILE = 64
    UNUSABLE = 128


class Series(NamedTuple):
    """One channel in one frame of a file.

    data: 1-D array as stored, or None if `problem` says why it cannot be a series of numbers.
    good: bool array of data's length, False where the frame says that there is no data; None: all good.
    offset: seconds from the start of the frame to the first sample.  dt: seconds between samples.
    lost: why samples are not good though the frame has them, '' if there are none such.
    said: the Flaws that the frame tells of samples, NaN among them.
    """

    data: np.ndarray | None
    good: np.ndarray | None
    offset: float
    dt: float
    unit: str
    problem: str = ""
    lost: str = ""
    said: int = 0


class Kind(NamedTuple):
    """What a channel is, without its samples: numpy dtype as stored, seconds between samples, unit, or the problem."""

    dtype: np.dtype | None
    dt: float
    unit: str
    problem: str = ""


class Shape(NamedTuple):
    """What channels have in common that can be taken together: numpy dtype as stored, samples, and as of Series."""

    dtype: np.dtype
    samples: int
    dt: float
    offset: float


class Spot(NamedTuple):
    """Where samples of all channels of a Shape go.

    out: 2-D array, a channel a row, of the shape's dtype or of `convertible` of it; its rows may lie apart.  good: bool
    array of out's shape for the flags of the samples; None: only samples that are good are written.
    pieces: int64 (n, 3): samples [second, third) of the frame go to columns from the first on.
    """

    shape: Shape
    out: np.ndarray
    good: np.ndarray | None
    pieces: np.ndarray


# What came of a channel of Wanted: no such channel in the frame; its samples are where they were to go; it is not of
# the Shape that was expected, and what Shape it is of is told; or it can only be read by itself, with `read`.
ABSENT, TAKEN, LOOKED, ODD = range(4)


class Wanted:
    """Channels that are wanted of many frames, what is expected of them, and what came of it in the frame before.

    names, kinds: of channels; where a file has no such channel of a kind, '' or another, it is of the file's own kind.
    active: bool, whether each is wanted of the next frame; of others ABSENT is told.  spot: int32, the number of the
    Spot that each is expected to fit, -1 for none.  row: int64, its row there.
    status: int32 (see above).  channels: the fields type, count, dt, offset and unit of each that is TAKEN or LOOKED:
    number of its dtype (see TYPES), samples, as of Series, and number of its unit in `texts`; and masked, lost and said
    of each that is TAKEN: whether samples are not good, or are integers that no float holds, and its Flaws.
    shapes: those that were met, and shape_of the number of that which each was of, -1 where none is known: see learn.
    """

    def __init__(self, names: Sequence[str], kinds: Sequence[str] | None = None) -> None:
        self.names = list(names)
        self.kinds = list(kinds) if kinds is not None else [""] * len(self.names)
        self.channels = np.zeros(len(self.names), CHANNEL)
        self.channels["spot"] = -1
        self.spot, self.row, self.status = (self.channels[each] for each in ("spot", "row", "status"))
        self.active = np.ones(len(self.names), dtype=bool)
        self.texts: list[str] = []
        self.shapes: list[Shape] = []
        self.shape_of = np.full(len(self.names), -1)
        # What the reader knows of them in the files that share a table of contents.
        self.bound: Any = None

    def shape(self, at: int) -> Shape:
        """The Shape of a channel that is TAKEN or LOOKED."""
        channel = self.channels[at]
        count, dt, offset = (channel[each].item() for each in ("count", "dt", "offset"))
        return Shape(TYPES[channel["type"].item()], count, dt, offset)

    def calibrations(self) -> "dict[str, Calibration]":
        """{channel: Calibration} of the ADC channels that are TAKEN or LOOKED."""
        found = np.flatnonzero((self.status == TAKEN) | (self.status == LOOKED))
        return {self.names[at]: each for at, each in _calibrations(found, self.channels[found], self.texts).items()}

    def leave(self) -> None:
        """Take none: each is to be read by itself."""
        self.status[:] = np.where(self.active, ODD, ABSENT)

    def learn(self, told: np.ndarray) -> np.ndarray:
        """Take up the Shapes of those channels, bool array, that were looked at; which of them had another before."""
        left, new, found = told.copy(), np.zeros(len(told), dtype=bool), self.channels
        if len(self.shapes) > _MOST_SHAPES:
            self.shapes, self.shape_of[:] = [], -1
        while left.any():
            first = int(np.argmax(left))
            shape = self.shape(first)
            same = left & (found["type"] == found["type"][first]) & (found["count"] == shape.samples)
            same &= (found["dt"] == shape.dt) & (found["offset"] == shape.offset)
            # A spacing that is no number is like no other, itself included.
            same[first] = True
            if shape not in self.shapes:
                self.shapes.append(shape)
            number = self.shapes.index(shape)
            new |= same & (self.shape_of != number)
            self.shape_of[same] = number
            left &= ~same
        return new


# As frames8.c has it.
CHANNEL = np.dtype(
    [(name, "i8") for name in ("position", "name_at", "row", "count")]
    + [(name, "f8") for name in ("dt", "offset")]
    + [(name, "f4") for name in ("bias", "slope")]
    + [(name, "i4") for name in ("name_size", "spot", "kind", "status", "type", "unit", "units", "nbits")]
    + [("masked", "u1"), ("lost", "u1"), ("said", "u1"), ("spare", "u1", (5,))]
)
# FrVect's numbers of the dtypes.
TYPES = {
    number: np.dtype(name)
    for number, name in enumerate(("i1", "i2", "f8", "f4", "i4", "i8", "c8", "c16", "", "u2", "u4", "u8", "u1"))
    if name
}


class Calibration(NamedTuple):
    """How stored samples become physical ones: stored * slope + bias, in units.

    nbits: bits of the converter, or of the stored samples.  All are as the frame has them, even a slope of 0.
    """

    bias: float
    slope: float
    nbits: int
    units: str


class FrameFile(Protocol):
    """An open frame file, whatever its format.

    frames: (GPS s, ns, duration s) of each frame.  kinds: 'adc', 'proc' or 'sim' by name of channel; where two kinds
    share a name, adc goes before proc, proc before sim.  shared: the names that more than one channel has, of any kind.
    verified: whether the file has checksums, so that what is damaged in it is seen.  The methods raise BadFrame where
    the file is damaged.
    """

    frames: list[tuple[int, int, float]]
    verified: bool

    @property
    def shared(self) -> Collection[str]: ...

    @property
    def kinds(self) -> Mapping[str, str]: ...

    def describe_all(self, names: Iterable[str]) -> dict[str, Kind]:
        """The Kind, in the first frame, of those channels for which it costs next to nothing; others need describe."""
        ...

    def describe(self, index: int, name: str, kind: str) -> Kind | None:
        """The Kind of a channel in frame `index`, for less than its samples cost; None if there is no such channel."""
        ...

    def read(self, index: int, name: str, kind: str) -> Series | None:
        """The Series of a channel in frame `index`; None if there is no such channel of that kind."""
        ...

    def calibrations(self, names: Iterable[str] | None = None) -> dict[str, Calibration]:
        """{channel name: Calibration} of the ADC channels, those of `names`, or all for None.

        Each is that of the first frame that has the channel; a name that is in none is left out.  Files of formats
        before 8 give {}.
        """
        ...

    def take(self, index: int, wanted: Wanted, spots: Sequence[Spot] = ()) -> None:
        """Take the samples of all channels that are what they are expected to be, in one go, and tell of the others.

        Never raises for what is damaged: that is ODD, and what is wrong is told by `read`.
        """
        ...


class Alike(NamedTuple):
    """Channels of one Shape, as one frame has them, with their samples in one array.

    at: numbers of the channels in their Wanted, in its order.  rows: the row of each.  data: 2-D, as stored.
    good: bool array of data's shape, as of Series; None: all are good.  told: the fields of each channel, shape
    (channels,).  texts: what these number.
    """

    at: np.ndarray
    rows: np.ndarray
    shape: Shape
    data: np.ndarray
    good: np.ndarray | None
    told: np.ndarray
    texts: list[str]

    def calibrations(self) -> "dict[int, Calibration]":
        """{number of the channel: its Calibration} of the ADC channels."""
        return _calibrations(self.at, self.told, self.texts)

    def each(self) -> "Iterator[tuple[int, Series]]":
        """(number of the channel, its Series) of each."""
        told = (self.told[each].tolist() for each in ("unit", "masked", "lost", "said"))
        for at, row, unit, masked, lost, said in zip(self.at.tolist(), self.rows.tolist(), *told, strict=True):
            good = self.good[row] if masked and self.good is not None else None
            lacks = INEXACT if lost else ""
            yield (
                at,
                Series(self.data[row], good, self.shape.offset, self.shape.dt, self.texts[unit], lost=lacks, said=said),
            )


def _calibrations(at, told, texts):
    """{number: Calibration} of the ADC channels of these numbers, of which this is told."""
    adc = told["kind"] == 0
    fields = (told[each][adc].tolist() for each in ("bias", "slope", "nbits", "units"))
    return {
        number: Calibration(bias, slope, nbits % 2**32, texts[units])
        for number, bias, slope, nbits, units in zip(at[adc].tolist(), *fields, strict=True)
    }


def read_alike(
    file: FrameFile, index: int, wanted: Wanted
) -> "tuple[list[Alike], dict[int, Series | BadFrame | None]]":
    """(those that are Alike, the others by their number): what `read` gives of each of the channels that are wanted, or
    the BadFrame that it raises.  Keep the Wanted for the frames that follow.
    """
    found: list[Alike] = []
    others: dict[int, Series | BadFrame | None] = {}
    todo = np.ones(len(wanted.names), dtype=bool)
    # Once as the frame before was, and once more for those that are not like it.
    for _ in range(2):
        spots: list[Spot] = []
        wanted.spot[:], wanted.active[:] = -1, todo
        # Not np.unique, which imports numpy.ma.
        for number in sorted(set(wanted.shape_of[todo].tolist()) - {-1}):
            some, shape = np.flatnonzero(todo & (wanted.shape_of == number)), wanted.shapes[number]
            data = np.empty((len(some), shape.samples), shape.dtype)
            wanted.spot[some], wanted.row[some] = len(spots), np.arange(len(some))
            spots.append(Spot(shape, data, np.empty(data.shape, bool), np.array([[0, 0, shape.samples]])))
        file.take(index, wanted, spots)
        taken = wanted.status == TAKEN
        for number, (shape, data, good, _) in enumerate(spots):
            at = np.flatnonzero(taken & (wanted.spot == number))
            told = wanted.channels[at]
            flags = good if told["masked"].any() else None
            if len(at):
                found.append(Alike(at, told["row"], shape, data, flags, told, wanted.texts))
        alone = wanted.status == ODD
        todo = wanted.status == LOOKED
        if todo.any():
            alone |= todo & ~wanted.learn(todo)
        for number in np.flatnonzero(alone).tolist():
            name = wanted.names[number]
            kind = wanted.kinds[number] or file.kinds.get(name, "")
            try:
                others[number] = file.read(index, name, kind) if kind else None
            except BadFrame as error:
                others[number] = error
        todo &= ~alone
        if not todo.any():
            break
    if sum(len(some.at) for some in found) + len(others) < len(wanted.names):
        there = others.keys() | {at for some in found for at in some.at.tolist()}
        others.update((at, None) for at in range(len(wanted.names)) if at not in there)
    return found, others


def read_many(file: FrameFile, index: int, wanted: Wanted) -> "list[Series | BadFrame | None]":
    """What read_alike gives, an item a channel; those that are alike share the memory of their samples."""
    alike, others = read_alike(file, index, wanted)
    found = {**others, **dict(pair for some in alike for pair in some.each())}
    return [found[at] for at in range(len(wanted.names))]


def spread(flags: np.ndarray, length: int) -> np.ndarray | None:
    """Flags, one for each equal block of samples, as one a sample; None if they do not fit."""
    if len(flags) == length:
        return flags
    if len(flags) == 0 or length % len(flags):
        return None
    return np.repeat(flags, length // len(flags))


def exact(data: np.ndarray) -> np.ndarray | None:
    """Which integers float64 holds exactly, as a bool array; None if all: NaN is right, a rounded value is not."""
    if data.dtype.itemsize < 8 or data.dtype.kind not in "iu":
        return None
    found = (data <= _EXACT) & (data >= -_EXACT if data.dtype.kind == "i" else True)
    return None if found.all() else found


def shared_by(kinds: Iterable[Iterable[str]]) -> set[str]:
    """The names that occur more than once in lists of names, one list a kind."""
    seen: set[str] = set()
    twice: set[str] = set()
    for names in kinds:
        for name in names:
            (twice if name in seen else seen).add(name)
    return twice


@functools.lru_cache(maxsize=64)
def convertible(dtype: DTypeLike) -> np.dtype | None:
    """The dtype, float32 or float64, that holds every value of a frame's dtype; None if there is none.

    The smaller of the two that is exact: 8- and 16-bit integers fit float32.  Float64 holds 64-bit integers up to
    2**53; the readers mark larger ones as not good.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return np.dtype(f"f{dtype.itemsize}")
    if dtype.kind in "iu":
        return np.dtype("f4" if dtype.itemsize <= 2 else "f8")
    return None
