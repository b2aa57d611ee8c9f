"""The one door to frame contents: values, masks, rate, unit and kind, whatever the format of the file.

Format 8 is read by code of our own, compiled, and what is out of the ordinary by gwframe; formats 4 and 6 by lalframe,
in a process of its own; HDF5 files of time series, as gwpy and read-days write them, by h5py.  The rest of the project
knows none of these.
Values come as the frame holds them: ADC slope and bias are not applied.
"""

import os
import stat

from ..errors import wording
from . import calls
from .model import (
    ABSENT,
    INEXACT,
    LOOKED,
    NO_DATA,
    ODD,
    TAKEN,
    Alike,
    BadFrame,
    Calibration,
    Damaged,
    Flaw,
    FrameFile,
    Kind,
    Series,
    Shape,
    Spot,
    Unreadable,
    Wanted,
    convertible,
    read_alike,
    read_many,
    spread,
)

__all__ = [
    "ABSENT",
    "INEXACT",
    "LOOKED",
    "NO_DATA",
    "ODD",
    "TAKEN",
    "Alike",
    "BadFrame",
    "Calibration",
    "Damaged",
    "Flaw",
    "FrameFile",
    "Kind",
    "Series",
    "Shape",
    "Spot",
    "Unreadable",
    "Wanted",
    "convertible",
    "is_hdf5",
    "open_file",
    "read_alike",
    "read_many",
    "refusal",
    "spread",
]

_HEADER, _HDF5 = b"IGWD\0", b"\x89HDF\r\n\x1a\n"
_OLDEST_OF_GWFRAME = 8


def open_file(path: str | os.PathLike[str]) -> FrameFile:
    """Open a frame file, or an HDF5 file of time series.

    Gives a FrameFile: its `frames`, the `kinds` of its channels, and read(index, name, kind) for the samples of one
    channel in one frame.  Raises BadFrame if the file is no frame file, is cut short or damaged, and OSError if it
    cannot be opened.
    """
    if not _can_end(path):
        raise BadFrame("not a plain file")
    with open(path, "rb") as file:
        head = file.read(40)
    if not head:
        raise BadFrame("empty file")
    if head.startswith(_HDF5):
        from .hdf5 import Hdf5File

        return Hdf5File(path)
    if len(head) < 40 or not head.startswith(_HEADER):
        raise BadFrame("not a frame file")
    if head[5] < _OLDEST_OF_GWFRAME:
        from .old import OldFile

        return OldFile(path)
    from .frames8 import opened

    return opened(path, calls.library())


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Whether a file that can be read is one of HDF5."""
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def refusal(path: str | os.PathLike[str]) -> str:
    """Why the system does not give us a file, in words, as of permissions or of a disk; '' if all of it can be read."""
    try:
        if _can_end(path):
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
    except OSError as error:
        return wording(error)
    return ""


def _can_end(path):
    """Whether reading a path comes to an end: a pipe may wait for ever for who writes to it, a device has no end."""
    mode = os.stat(path).st_mode
    return not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode))
