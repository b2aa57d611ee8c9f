"""Files: every error tells the name, and a reader finds the content from before or the new one, never a part of it."""

import contextlib
import errno
import fcntl
import io
import os
import re
import threading
import time
import zlib
from collections.abc import Iterator
from typing import IO, Any, TypeAlias

Path: TypeAlias = str | os.PathLike[str]
# Bytes that are copied in one go.
_COPY = 1 << 26
# Bytes of a write: of larger ones the page cache is made of larger pieces, which the system takes four times as long to
# find (seen with Linux 6.18 from 1 MB on).
_WRITE = 1 << 18

# Errors that only a write can meet.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# This machine in the names of temporary files: folders are shared, process ids are not.
_HERE = f"{zlib.crc32(os.uname().nodename.encode()):08x}"
_OURS = re.compile(rf"\..*\.{_HERE}-(\d+)\.tmp")
# After so many seconds without a change, what another machine was writing is taken for left.
_PATIENCE = 3600
# The folders in which this process has looked for what killed ones left.
_looked: set[str] = set()


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[str]:
    """Give a temporary path beside `path`; on success sync it and rename it to `path`.

    The temporary name is that of beside().  On any error it is removed and `path` is untouched.  A link is replaced
    itself: what it leads to may be another's, or on another disk, to which nothing can be renamed.
    durable: wait for the disk, so that a power cut leaves no empty file under the final name; a file that only
    says how far a run is need not wait.  What is no plain file, such as /dev/stderr, is written to directly.
    """
    if os.path.exists(path) and (os.path.abspath(path).startswith("/dev/") or not os.path.isfile(path)):
        yield os.fspath(path)
        return
    place = os.path.abspath(path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    aside = beside(place)
    try:
        # Where it cannot be made that is told of `path`; libraries have other words, and name this one.
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        yield aside
        if durable:
            _sync(aside)
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        if isinstance(error, OSError) and _is_of(error, aside):
            error.filename = os.fspath(path)
        raise


def _is_of(error, path):
    """Whether an error is of a file that is written: it names it, or no file, and only a write can meet it."""
    return error.filename == path or (error.filename is None and error.errno in _NO_ROOM)


class Sink:
    """A file for a library that must not meet an error while it writes: the first one is kept for check() to raise.

    From then on what is written stays in memory, and is read from there, so that the library can end in order.  It
    has what h5py asks of a file object, and is closed as a file is.  A file that is there is emptied, unless it
    `goes_on`.
    """

    def __init__(self, path: Path, goes_on: bool = False) -> None:
        begin = 0 if goes_on else os.O_CREAT | os.O_TRUNC
        self._handle = os.open(path, os.O_RDWR | begin | os.O_CLOEXEC, 0o666)
        self._path, self._at = path, 0
        self._error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        os.close(self._handle)
        if error is None or isinstance(error, Exception):
            self.check()  # whatever went wrong after it

    def check(self) -> None:
        """Raise the error of the write that failed first, if one has; it names the file."""
        if self._error:
            raise self._error

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            ends = [at + len(data) for at, data in self._kept]
            position += max(os.fstat(self._handle).st_size, *ends, 0)
        self._at = position
        return position

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: self.readinto(data)])

    def readinto(self, buffer: "bytearray | memoryview") -> int:
        count = os.preadv(self._handle, [buffer], self._at)
        for at, data in self._kept:
            first, end = max(at, self._at), min(at + len(data), self._at + len(buffer))
            if first < end:
                buffer[first - self._at : end - self._at] = data[first - at : end - at]
                count = max(count, end - self._at)
        return count

    def write(self, data: "bytes | memoryview") -> int:
        try:
            if self._error is None:
                write_at(self._handle, data, self._at)
        except OSError as error:
            self._fail(error)
        if self._error:
            self._kept.append((self._at, bytes(data)))
        self._at += len(data)
        return len(data)

    def truncate(self, size: int) -> int:
        if self._error is None:
            try:
                os.ftruncate(self._handle, size)
            except OSError as error:
                self._fail(error)
        return size

    def empty(self, end: int) -> None:
        """Make the bytes up to a position zeros, which those of a hole are."""
        try:
            if _holds(self._handle, end):
                for at in range(0, end, _WRITE):
                    write_at(self._handle, bytes(min(_WRITE, end - at)), at)
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        """Nothing waits."""

    def _fail(self, error):
        error.filename = os.fspath(self._path)
        self._error = error


def _holds(handle, end):
    """Whether an open file has bytes before a position that are in no hole."""
    try:
        return os.lseek(handle, 0, os.SEEK_DATA) < end
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False


def write_at(handle: int, data: "bytes | memoryview", at: int) -> None:
    """Write all of some bytes to an open file from a position on."""
    done, view = 0, memoryview(data)
    while done < len(view):
        done += os.pwrite(handle, view[done : done + _WRITE], at + done)


def beside(path: Path) -> str:
    """A temporary name beside `path`, for what is to be renamed to it.

    It starts with a dot and carries machine and process id, so two writers never share one and no pattern for data
    files matches it.  What is_left() in the folder is removed.
    """
    folder, name = os.path.split(path)
    _remove_left(folder)
    return os.path.join(folder, f".{name}.{_HERE}-{os.getpid()}.tmp")


def is_left(path: Path) -> bool:
    """Whether a path is a temporary name of beside() whose writer is gone.

    One of this machine is gone if no such process runs; of another machine's, nothing was written for an hour.
    """
    name = os.path.basename(os.fspath(path))
    if not (name.startswith(".") and name.endswith(".tmp")):
        return False
    match = _OURS.fullmatch(name)
    try:
        return not _runs(int(match[1])) if match else os.lstat(path).st_mtime < time.time() - _PATIENCE
    except OSError:
        return False


def _remove_left(folder):
    if folder in _looked:
        return
    _looked.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            if is_left(entry.path):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _runs(process):
    """Whether a process of this machine runs; one that has ended and that nobody has looked after yet does not."""
    try:
        os.kill(process, 0)
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stat:
            return not stat.read().rpartition(")")[2].startswith((" Z", " X"))
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's, which a system may hide


@contextlib.contextmanager
def flushing(path: Path) -> Iterator[None]:
    """While the block runs, send what is written to `path` to the disk, so that the last sync has little left to do."""
    over = threading.Event()

    def flush():
        while not over.wait(0.2):
            with contextlib.suppress(OSError):
                _sync(path)

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def copy_head(source: int, out: int, length: int) -> None:
    """Append the first bytes of an open file to another, inside the kernel, which shares blocks where it can.

    source, out: file descriptors; that of the source stays where it is.  OSError if the source is shorter.
    """
    at = 0
    while at < length:
        size = min(_COPY, length - at)
        try:
            done = os.copy_file_range(source, out, size, offset_src=at)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            done = os.write(out, os.pread(source, min(size, 1 << 20), at))
        if not done:
            raise OSError(errno.EIO, "a file is shorter than it was")
        at += done


def take(copied: Path, source: int, path: Path) -> bool:
    """Move a copy of an open file to `path`; whether it could be had.

    copied: its path.  Who copies holds a lock (flock) on it, and gives it the time of the file once all is well; it
    is waited for.  What is no whole copy is removed, if we may.
    """
    with contextlib.suppress(OSError):
        if os.path.exists(copied):
            with locked(copied) as handle:
                assert handle is not None
                is_whole = _version(handle) == _version(source)
                os.replace(copied, path) if is_whole else os.unlink(copied)
                return is_whole
    return False


def _version(handle):
    about = os.fstat(handle)
    return about.st_size, about.st_mtime_ns


def boot() -> str:
    """The kernel's name of this boot of this machine, '' if it has none.

    Until the next boot, which has another, files that were written are whole, whether they were synced or not.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            return source.read().strip()
    except OSError:
        return ""


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an OSError this path: that of a read or a write names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), path) from None


class _Named(io.FileIO):
    """A file of which every error names it."""


def _naming(name):
    plain = getattr(io.FileIO, name)

    def call(self, *args):
        try:
            return plain(self, *args)
        except OSError as error:
            if error.filename is None:
                error.filename = self.name
            raise

    return call


for _name in ("read", "readall", "readinto", "write", "seek", "truncate", "close"):
    setattr(_Named, _name, _naming(_name))


def opened(path: Path, mode: str = "r", buffering: int = -1, **text: Any) -> IO:
    """As open(), of a path; an error of any call of the system names the file, where those of open()'s files do not.

    buffering: 0 for none, of bytes.  text: encoding, errors and newline, of a text, as of open().
    """
    raw = _Named(os.fspath(path), mode.replace("b", "").replace("t", ""))
    if buffering == 0:
        return raw
    if "+" in mode:
        held: Any = io.BufferedRandom(raw)
    else:
        held = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
    return held if "b" in mode else io.TextIOWrapper(held, **text)


def read_bytes(path: Path) -> bytes:
    """All that is in a file; an OSError names it, whichever call of the system failed."""
    with opened(path, "rb") as source:
        return source.read()


def read_text(path: Path, newline: str | None = None) -> str:
    """All of a file as text that keeps every byte; an OSError names it.

    newline: as of open(): each end of a line is told as '\\n', or with '' as it is.
    """
    with opened(path, encoding="utf-8", errors="surrogateescape", newline=newline) as source:
        return source.read()


def _sync(path: Path) -> None:
    with named(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    _sync(path)


def write(path: Path, text: str, durable: bool = True) -> None:
    """Replace a text file, whole and at once.  Bytes that were read and were no UTF-8 are written as they were."""
    how: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}
    with replacing(path, durable) as aside, opened(aside, "w", **how) as out:
        out.write(text)


def write_bytes(path: Path, content: "bytes | memoryview", durable: bool = True) -> None:
    """Replace a file, whole and at once."""
    with replacing(path, durable) as aside, opened(aside, "wb") as out:
        out.write(content)


def write_if_changed(path: Path, text: str, durable: bool = True) -> bool:
    """Write a text file only if its content differs; return whether it did."""
    try:
        if read_text(path) == text:
            return False
    except FileNotFoundError:
        pass
    write(path, text, durable)
    return True


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[int | None]:
    """Hold an exclusive lock (flock) on a file, which is made if need be; yields its file descriptor.

    wait: until another holder lets go; otherwise, if there is one, yields None.  The kernel lets go of the lock when
    its holder dies, so a kill leaves nothing to clean up.  A child process that inherits the descriptor holds it too.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
            return
        yield handle
    finally:
        os.close(handle)
