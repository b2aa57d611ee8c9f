"""Writing, copying and cutting files at exact places; errors of the system name the path."""

import ctypes
import os

import numpy as np

from ... import files


def write_at(path: str, offset: int, data: bytes | np.ndarray) -> int:
    """Write bytes or an array at an offset of a file, which is made if it is not there; how many bytes."""
    view = memoryview(data) if isinstance(data, bytes) else np.ascontiguousarray(data).view(np.uint8).data
    if not view:
        if offset == 0 and not os.path.exists(path):
            files.opened(path, "ab").close()
        return 0
    with files.named(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            at = 0
            while at < len(view):
                at += os.pwrite(handle, view[at:], offset + at)
        finally:
            os.close(handle)
    return len(view)


def size_of(path: str) -> int:
    """Bytes of a file; -1 if it is not there."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1


def cut(path: str, size: int) -> None:
    """Shorten a file to a size.  It is never lengthened, which would make records of zeros."""
    if size_of(path) > size:
        os.truncate(path, size)


def sync_all(folder: str) -> None:
    """Wait until all that was written to the file system of a folder is on the disk: one call for hundreds of files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    except AttributeError:
        os.sync()
    finally:
        os.close(handle)
