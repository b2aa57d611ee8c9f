"""Writing a file so that a reader sees the old content or the new one, never a part of it."""

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from typing import TypeAlias

Path: TypeAlias = str | os.PathLike[str]
# Bytes that are copied in one go.
_COPY = 1 << 26


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[str]:
    """Give a temporary path beside `path`; on success sync it and rename it to `path`.

    The temporary name starts with a dot and carries the process id, so two writers never share one
    and no pattern for data files matches it.  On any error it is removed and `path` is untouched.
    durable: wait for the disk, so that a power cut leaves no empty file under the final name; a file that only
    says how far a run is need not wait.  What is no plain file, such as /dev/stderr, is written to directly.
    """
    if os.path.exists(path) and (os.path.abspath(path).startswith("/dev/") or not os.path.isfile(path)):
        yield os.fspath(path)
        return
    folder, name = os.path.split(os.path.realpath(path))
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        yield aside
        if durable:
            _sync(aside)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


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
