"""The one door to frame contents: values, masks, rate, unit and kind, whatever the format of the file.

Format 8 and later are read by gwframe, formats 4 and 6 by lalframe; the rest of the project knows neither.
Values come as the frame holds them: ADC slope and bias are not applied.
"""

import functools
from typing import NamedTuple

import numpy as np

from ..errors import wording

_HEADER = b"IGWD\0"
_OLDEST_OF_GWFRAME = 8


# The problem of a channel that this frame has nothing of; another may.
NO_DATA = "no data in the frame"


class BadFrame(Exception):
    """A file, or one channel of it, that cannot be read; the message is the reason alone."""


class Unreadable(BadFrame):
    """A file that the system does not give us, which says nothing of what is in it: another time it may."""


class Series(NamedTuple):
    """One channel in one frame of a file.

    data: 1-D array as stored, or None if `problem` says why it cannot be a series of numbers.
    good: bool array of data's length, False where the frame says that there is no data; None: all good.
    offset: seconds from the start of the frame to the first sample.  dt: seconds between samples.
    """

    data: np.ndarray | None
    good: np.ndarray | None
    offset: float
    dt: float
    unit: str
    problem: str = ""


class Kind(NamedTuple):
    """What a channel is, without its samples: numpy dtype as stored, seconds between samples, unit, or the problem."""

    dtype: np.dtype | None
    dt: float
    unit: str
    problem: str = ""


def open_file(path):
    """Open a frame file.

    The object has `frames`, a list of (GPS s, ns, duration s); `kinds`, a dict of channel name to 'adc',
    'proc' or 'sim'; `describe_all(names)`, a dict of name to Kind in the first frame for those that cost next to
    nothing; `read(i, name, kind)`, the Series of a channel in frame i; and `describe(i, name, kind)`,
    its Kind, for less than its samples cost.  Both give None for a channel that is not there.  Raises BadFrame if the
    file is no frame file, is cut short or damaged, and OSError if it cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(40)
    if not head:
        raise BadFrame("empty file")
    if len(head) < 40 or not head.startswith(_HEADER):
        raise BadFrame("not a frame file")
    if head[5] < _OLDEST_OF_GWFRAME:
        from .old import OldFile

        return OldFile(path)
    from .core import CoreFile

    return CoreFile(path)


def refusal(path):
    """Why the system does not give us a file, in words, as of permissions or of a disk; '' if all of it can be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
    except OSError as error:
        return wording(error)
    return ""


def all_bad(length):
    return np.zeros(length, dtype=bool)


def spread(flags, length):
    """Flags, one for each equal block of samples, as one a sample; None if they do not fit."""
    if len(flags) == length:
        return flags
    if len(flags) == 0 or length % len(flags):
        return None
    return np.repeat(flags, length // len(flags))


@functools.lru_cache(maxsize=64)
def convertible(dtype):
    """The dtype, float32 or float64, that holds every value of a frame's dtype; None if there is none.

    The smaller of the two that is exact: 8- and 16-bit integers fit float32.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return np.dtype(f"f{dtype.itemsize}")
    if dtype.kind in "iu":
        return np.dtype("f4" if dtype.itemsize <= 2 else "f8")
    return None
