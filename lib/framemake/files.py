"""Writing a file so that a reader sees the old content or the new one, never a part of it."""

import contextlib
import fcntl
import os
import re
import threading
import time
import zlib
from collections.abc import Iterator
from typing import TypeAlias

Path: TypeAlias = str | os.PathLike[str]

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
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


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
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


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


def boot() -> str:
    """The kernel's name of this boot of this machine, '' if it has none.

    Until the next boot, which has another, files that were written are whole, whether they were synced or not.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            return source.read().strip()
    except OSError:
        return ""


def _sync(path: Path) -> None:
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
    with replacing(path, durable) as aside, open(aside, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(text)


def write_if_changed(path: Path, text: str, durable: bool = True) -> bool:
    """Write a text file only if its content differs; return whether it did."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as existing:
            if existing.read() == text:
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
