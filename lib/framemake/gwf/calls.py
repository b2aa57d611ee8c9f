"""The functions of the compiled library that read frames of format 8: see frames8.c."""

import ctypes
import functools
import threading

from .. import compiled


class Library:
    """These functions of a compiled library, and zlib's, which it calls.  Raises AttributeError if it has them not."""

    def __init__(self, loaded: ctypes.CDLL) -> None:
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
    """The functions of the library, or None where there is none."""
    loaded = compiled.library()
    return Library(loaded) if loaded else None
