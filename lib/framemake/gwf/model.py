"""What the readers of frame files share: the things that they give, their errors, and the rules for samples."""

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike

# The problem of a channel that this frame has nothing of; another may.
NO_DATA = "no data in the frame"
FREQUENCIES = "a frequency series"
INEXACT = "integers beyond 2^53, which no float holds"
CHECKSUM = "damaged: checksum does not match"
CUT = "cut short or damaged: no table of contents"
_EXACT = 2**53


class BadFrame(Exception):
    """A file, or one channel of it, that cannot be read; the message is the reason alone."""


class Damaged(BadFrame):
    """What is there and is wrong, as a checksum tells: to read it once more gives the same."""


class Unreadable(BadFrame):
    """A file that the system does not give us, which says nothing of what is in it: another time it may."""


class Series(NamedTuple):
    """One channel in one frame of a file.

    data: 1-D array as stored, or None if `problem` says why it cannot be a series of numbers.
    good: bool array of data's length, False where the frame says that there is no data; None: all good.
    offset: seconds from the start of the frame to the first sample.  dt: seconds between samples.
    lost: why samples are not good though the frame has them, '' if there are none such.
    """

    data: np.ndarray | None
    good: np.ndarray | None
    offset: float
    dt: float
    unit: str
    problem: str = ""
    lost: str = ""


class Kind(NamedTuple):
    """What a channel is, without its samples: numpy dtype as stored, seconds between samples, unit, or the problem."""

    dtype: np.dtype | None
    dt: float
    unit: str
    problem: str = ""


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


def all_bad(length: int) -> np.ndarray:
    """Flags of so many samples, none of them good."""
    return np.zeros(length, dtype=bool)


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
