"""The manifest of a day's folder, which `sha256sum -c` takes in that folder, and what it says of the folder now.

It has all that is told of a finished day: the day file, the summary, channel lists and coverage.  It does not have what
goes on changing, state and log, nor what a run needs.  Who replaces the day file removes the manifest first, and it is
written before the last file of the day: so it is true of each day that is done, and of one that is not it is absent or
says so.
"""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from .. import files
from ..errors import BadInput, wording
from .folder import Folder

# Bytes that a core has at hand.
_AT_ONCE = 1 << 18
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def sha256(path: str) -> str:
    """The SHA-256 of a file in hex; OSError if it cannot be read."""
    made, room = hashlib.sha256(), memoryview(bytearray(_AT_ONCE))
    source: Any
    with files.opened(path, "rb", buffering=0) as source:
        while count := source.readinto(room):
            made.update(room[:count])
    return made.hexdigest()


@contextlib.contextmanager
def hashing(h5: str) -> Iterator[concurrent.futures.Future]:
    """The SHA-256 of a day file, as a Future: as it was noted, or it is taken on another core while the block runs."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool.submit(lambda: _noted(h5) or sha256(h5))


@contextlib.contextmanager
def noting(h5: str) -> Iterator[Callable[[str], None]]:
    """Give a function that is to be called with the path of the whole day file before it is synced and renamed.

    It is hashed on another core meanwhile and while the rest of the block runs; no earlier, as HDF5 writes its
    beginning last.  The digest is noted beside the parts, if there are any, for hashing() of the same file, which waits
    for it: the note is locked until it is there, or until the process that makes it is gone.
    """
    made: list[concurrent.futures.Future] = []
    hashed = Folder.holding(h5).hashed
    with concurrent.futures.ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:

        def begin(path):
            # By its handle: the name changes.
            source = stack.enter_context(files.opened(path, "rb", buffering=0))
            with contextlib.suppress(OSError):
                stack.enter_context(files.locked(hashed))
            made.append(pool.submit(sha256, f"/proc/self/fd/{source.fileno()}"))

        yield begin
        if made and os.path.exists(hashed):
            try:
                files.write(hashed, f"{made[0].result()} {_identity(h5)}\n", durable=False)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(hashed)


def _noted(h5):
    """The digest that was noted of a day file as it is, or is being made of it, or ''."""
    path = Folder.holding(h5).hashed
    try:
        with files.opened(path, "rb", buffering=0) as note:
            fcntl.flock(note, fcntl.LOCK_SH)
        digest, _, of = files.read_text(path).rstrip("\n").partition(" ")
        return digest if of == _identity(h5) else ""
    except OSError:
        return ""


def _identity(path):
    about = os.stat(path)
    return f"{about.st_dev} {about.st_ino} {about.st_size} {about.st_mtime_ns}"


def write(folder: Folder, known: dict[str, str]) -> None:
    """Write the manifest of a folder.

    known: {path: SHA-256 in hex} of files that are not hashed again, or that are not there yet.
    """
    made = {os.path.relpath(path, folder.path): digest for path, digest in known.items()}
    for path in folder.told:
        name = os.path.relpath(path, folder.path)
        if name not in made and os.path.isfile(path):
            made[name] = sha256(path)
    files.write(folder.manifest, "".join(f"{made[name]}  {name}\n" for name in sorted(made)))


def read(folder: Folder) -> dict[str, str] | None:
    """{name in the folder: SHA-256 in hex} by the manifest; None if there is none.  BadInput if it is damaged."""
    try:
        with files.opened(folder.manifest, encoding="utf-8", errors="replace") as source:
            lines = source.read().splitlines()
    except FileNotFoundError:
        return None
    found = [_LINE.fullmatch(line) for line in lines]
    if not lines or not all(found):
        raise BadInput(f"not a manifest of sha256sum: {folder.manifest!r}")
    return {match[2]: match[1] for match in found if match}


def faults(folder: Folder) -> list[tuple[str, str]]:
    """(name, what) of each file of a folder that is not what its manifest says; of a day file that it does not name.

    Raises BadInput if there is no manifest, or a damaged one.
    """
    told = read(folder)
    if told is None:
        raise BadInput(f"no manifest, summarize writes one: {folder.manifest!r}")
    found = []
    for name, digest in told.items():
        try:
            now = sha256(os.path.join(folder.path, name))
        except FileNotFoundError:
            found.append((name, "is gone"))
        except OSError as error:
            found.append((name, f"cannot be read: {wording(error)}"))
        else:
            if now != digest:
                found.append((name, "is not what it was: its SHA-256 differs"))
    for path in (folder.h5, folder.summary):
        name = os.path.relpath(path, folder.path)
        if name not in told and os.path.exists(path):
            found.append((name, "is not in the manifest"))
    return found
