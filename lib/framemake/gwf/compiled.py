"""The compiled half of frames8: how it is built and where it lies, so that a stale one is never used.

It is C behind ctypes: that adds nothing to what a process takes to start, where a compiler that works while a program
runs adds more than the frames of a small day take to be read.  It is built by lib/make/setup, and where it is not
there frameCPP reads everything.
"""

import ctypes
import functools
import os
import subprocess
import sys
import threading
import zlib

from .. import files

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "frames8.c")
# Not for the machine that builds it alone: others may run it, from one checkout.
_FLAGS = ("-O3", "-fPIC", "-shared")


class Missing(Exception):
    """Why nothing was built."""


def places() -> list[str]:
    """The paths where the library may lie, by a digest of its source and the kind of machine: first where it is sought
    first, and put if that can be written to."""
    with open(SOURCE, "rb") as file:
        source = file.read()
    name = f"frames8-{zlib.crc32(source):08x}{zlib.adler32(source):08x}-{os.uname().machine}.so"
    folders = [os.path.dirname(SOURCE)]
    if sys.prefix != sys.base_prefix:
        folders.insert(0, os.path.join(sys.prefix, "lib", "framemake"))
    return [os.path.join(folder, name) for folder in folders]


def build() -> str:
    """Build the library unless it is there, and return its path; raises Missing with the reason where it cannot be."""
    there = next(filter(_loadable, places()), None)
    if there:
        return there
    reason = ""
    for path in places():
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with files.replacing(path) as aside:
                compile_to(os.fspath(aside))
                if not _loadable(aside):
                    raise Missing("what the C compiler made cannot be loaded")
            return path
        except OSError as error:
            reason = reason or f"{error.strerror}: {os.path.dirname(path)!r}"
    raise Missing(reason)


def lacking() -> str:
    """That frames are read without the library, in words; '' if it is there."""
    return "" if library() else "frames are read by gwframe alone, several times slower: see make setup"


def main() -> None:
    """Build it, for lib/make/setup; ends the program with the reason where it cannot be."""
    try:
        build()
    except Missing as error:
        raise SystemExit(str(error)) from None


def compile_to(path: str, *flags: str) -> None:
    """Compile the source into a shared library; raises Missing where there is no C compiler, or it fails."""
    compiler = os.environ.get("CC", "cc").split() or ["cc"]
    try:
        done = subprocess.run(
            [*compiler, *_FLAGS, *flags, "-o", path, SOURCE], capture_output=True, text=True, check=False
        )
    except OSError:
        raise Missing(f"no C compiler: {compiler[0]!r}") from None
    if done.returncode:
        raise Missing(f"the C compiler failed: {(done.stderr.splitlines() or ['no reason given'])[0]}")


def _loadable(path):
    try:
        return os.path.exists(path) and ctypes.CDLL(path).size_of_struct(0) > 0
    except (OSError, AttributeError):
        return False


class Library:
    """The functions of a compiled library, and zlib's, which it calls.  Raises OSError or AttributeError."""

    def __init__(self, path: str) -> None:
        loaded = ctypes.CDLL(path)
        pointer, count = ctypes.c_void_p, ctypes.c_int64
        self._cksum = loaded.cksum
        self._cksum.argtypes, self._cksum.restype = [ctypes.c_char_p, count], ctypes.c_uint32
        self._take = loaded.take
        self._take.argtypes = [pointer, pointer, pointer, pointer, count, pointer, count, pointer, pointer]
        self._take.restype = count
        self._new, self._free = loaded.room_new, loaded.room_free
        self._new.restype, self._free.argtypes = pointer, [pointer]
        self.size_of_struct = loaded.size_of_struct
        self.size_of_struct.argtypes, self.size_of_struct.restype = [ctypes.c_int], count
        try:
            self._inflate = ctypes.cast(ctypes.CDLL("libz.so.1").uncompress, pointer)
        except (OSError, AttributeError):
            # Without it frameCPP is asked for what is packed so.
            self._inflate = pointer()
        self._rooms = threading.local()

    def cksum(self, raw: bytes) -> int:
        """The CRC of POSIX cksum."""
        return self._cksum(raw, len(raw))

    def take(self, file: int, names: int, channels: int, count: int, spots: int, n_spots: int, texts: int) -> int:
        """The function of this name, of addresses and counts, with memory that this thread keeps."""
        try:
            room = self._rooms.room
        except AttributeError:
            room = self._rooms.room = _Room(self._new, self._free)
        return self._take(file, room.address, names, channels, count, spots, n_spots, texts, self._inflate)


class _Room:
    """Memory of one thread, given back when the thread ends."""

    def __init__(self, new, free):
        self.address, self._free = new(), free
        if not self.address:
            raise MemoryError

    def __del__(self):
        self._free(self.address)


@functools.cache
def library() -> Library | None:
    """The compiled library, or None where there is none."""
    for path in places():
        if os.path.exists(path):
            try:
                return Library(path)
            except (OSError, AttributeError):
                continue
    return None
