"""Local copies of frame files at URLs: a folder with a limit, which several processes share.

A file has a folder of its own there, named by a digest of its URL, size and time, so whatever a URL holds is no path:

    lock        held shared by who reads the file, alone by who fetches or removes it; its time is that of the last use
    part        what has come so far
    part.json   what that is a part of, see fetch.fetch
    room        an empty file as long as the whole will be, while it comes: its room is taken
    ahead       there until the file is read for the first time, if it was fetched before anybody wanted it
    NAME.gwf    the file, once it is whole and agrees with what the server tells of it

Who removes a lock holds it, and who gets one looks whether it is still the one that is there.  A kill leaves a part,
which the next fetch goes on with.  Where room is lacking what was used longest ago goes; never what is in use.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .. import files
from ..errors import BadInput, wording
from . import remote

LIMIT = 20 * 10**9
# Files that are fetched before they are wanted, and at once; those that nobody has read yet are left an hour.
AHEAD, _AT_ONCE, _PATIENCE = 4, 2, 3600
# Seconds between two looks whether room has come.
_PAUSE = 0.1
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_OURS = re.compile(r"[0-9a-f]{32}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")


class Wanted(NamedTuple):
    """A file that is wanted: its URL, and size in bytes and time in ns as its server has told them; -1, 0: unknown."""

    url: str
    size: int = -1
    mtime: int = 0


class _NoRoom(Exception):
    """The cache has no room now, as what is in it is in use."""


def bytes_of(text: str) -> int:
    """The bytes of a size as people write it: 20G, 500M, 1.5T; ValueError if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]?)B?", text.strip())
    if not match:
        raise ValueError
    return int(float(match[1]) * _UNITS[match[2]])


class Cache:
    """The copies in a folder.

    limit: bytes that they may take together.  keep: whether what a day is done with stays, until room is wanted.
    """

    def __init__(self, folder: str, limit: int = LIMIT, keep: bool = False):
        self.folder, self.limit, self.keep = os.path.abspath(folder), limit, keep
        self._ahead: queue.SimpleQueue[Wanted] = queue.SimpleQueue()
        self._asked: set[Wanted] = set()
        self._threads: list[threading.Thread] = []

    @classmethod
    def of_environment(cls) -> "Cache":
        """The cache that $FRAME_CACHE, $FRAME_CACHE_LIMIT and $FRAME_CACHE_KEEP tell, or the usual one."""
        around = os.environ
        home = around.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        limit = around.get("FRAME_CACHE_LIMIT") or ""
        try:
            most = bytes_of(limit) if limit else LIMIT
        except ValueError:
            raise BadInput(f"FRAME_CACHE_LIMIT must be a size, as 20G or 500M: {limit!r}") from None
        folder = around.get("FRAME_CACHE") or os.path.join(home, "framemake", "frames")
        return cls(folder, most, around.get("FRAME_CACHE_KEEP") == "yes")

    @contextlib.contextmanager
    def holding(self, wanted: Wanted, retries: int = 3) -> Iterator[str]:
        """The path of a copy, which stays while the block runs; raises as copy(), after so many retries.

        A copy over which the block raises gwf.BadFrame is not good.
        """
        while True:
            try:
                copy = self.copy(wanted)
                break
            except remote.Away as error:
                if not retries:
                    raise
                retries -= 1
                time.sleep(error.after)
        try:
            yield copy.path
        except Exception as error:
            from ..gwf import BadFrame  # numpy with it, of which a list knows nothing

            copy.good = not isinstance(error, BadFrame)
            raise
        finally:
            copy.close()

    def copy(self, wanted: Wanted, release: Callable[[], None] = lambda: None) -> "Copy":
        """A copy of a file, fetched if there is none; it stays until the Copy is closed.

        release: called where room is lacking: closes Copies that the caller can do without.  Raises remote.Away and
        remote.Refused for what the server does, BadInput for what the disk does, as of one that is full.
        """
        place, full = _Place(self.folder, wanted), False
        with self._disk():
            while True:
                lock = place.lock(fcntl.LOCK_SH)
                if os.path.exists(place.path):
                    _used(lock)
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(place.ahead)
                    return Copy(place.path, lock)
                os.close(lock)
                lock = place.lock(fcntl.LOCK_EX)
                try:
                    if not os.path.exists(place.path):
                        self._fetch(place, lock, True)
                except _NoRoom:
                    os.close(lock)
                    release()
                    time.sleep(_PAUSE)
                except OSError as error:
                    os.close(lock)
                    if error.errno not in _FULL or full:
                        raise
                    full = True
                    release()
                except BaseException:
                    os.close(lock)
                    raise
                else:
                    os.close(lock)  # and then as anybody else

    def fetch_ahead(self, wanted: Iterable[Wanted]) -> None:
        """Have files fetched while others are read, in this order; each once, and only as far as there is room."""
        for each in wanted:
            if each not in self._asked:
                self._asked.add(each)
                self._ahead.put(each)
        while len(self._threads) < _AT_ONCE and not self._ahead.empty():
            # They end with the process: what has come by then is gone on with.
            thread = threading.Thread(target=self._work_ahead, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work_ahead(self):
        while True:
            place = _Place(self.folder, self._ahead.get())
            # Whatever goes wrong is met again, and told, by who wants the file.
            with contextlib.suppress(Exception):
                if os.path.exists(place.path):
                    continue
                lock = place.lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
                try:
                    if not os.path.exists(place.path):
                        files.write(place.ahead, "", durable=False)
                        self._fetch(place, lock, False)
                finally:
                    os.close(lock)

    def let_go(self, wanted: Iterable[Wanted]) -> None:
        """Remove the copies of files, those that somebody uses left out; unless they are to be kept."""
        if self.keep:
            return
        for each in wanted:
            place = _Place(self.folder, each)
            if os.path.isdir(place.folder):
                with contextlib.suppress(OSError):
                    self._remove(place)

    # --- fetching ----------------------------------------------------------------------------

    def _fetch(self, place, lock, needed):
        """Fetch a file whose lock is held alone; needed: whether others that are not used yet may go for it."""
        wanted = place.wanted
        if wanted.size >= 0:
            self._room(place, wanted.size, needed)
        from . import fetch

        while True:
            try:
                facts = fetch.fetch(wanted.url, place.part, place.about, lambda size: self._room(place, size, needed))
                break
            except OSError as error:
                # The disk has less room than the cache may take.
                if error.errno not in _FULL or not needed or not self._drop_oldest(place):
                    raise
        if wanted.size not in (-1, facts.size):
            place.drop_part()
            raise remote.Refused(f"has changed since it was listed, it had {wanted.size} bytes and has {facts.size}")
        # Replicas behind one name may each have a time of their own: then one of them has the one that is known.
        both_known = wanted.mtime > 0 and facts.mtime > 0
        if both_known and facts.mtime != wanted.mtime and not fetch.tells_time(wanted.url, wanted.mtime):
            place.drop_part()
            then, now = (
                time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each // 10**9)) for each in (wanted.mtime, facts.mtime)
            )
            raise remote.Refused(f"has changed since it was listed, it was of {then} and is of {now}")
        os.replace(place.part, place.path)
        place.drop_part()
        _used(lock)

    def _room(self, place, size, needed):
        """Take room for a file of so many bytes, whose lock is held; raises _NoRoom if there is none now."""
        if size > self.limit:
            place.drop_part()
            raise remote.Refused(f"has {size} bytes, more than FRAME_CACHE_LIMIT, {self.limit}")
        with files.locked(os.path.join(self.folder, ".lock")):
            held, taken = self._held()
            mine = held.pop(place.folder, (0, 0, False))[1]
            taken += size - mine
            now = time.time()
            # What was fetched ahead and is not read yet goes last, and never for what is fetched ahead.
            order = sorted((new and now - used < _PATIENCE, used, folder) for folder, (used, _, new) in held.items())
            for new, _, folder in order:
                if taken <= self.limit or (new and not needed):
                    break
                if self._remove(_Place.at(folder)):
                    taken -= held[folder][1]
            if taken > self.limit:
                raise _NoRoom
            with files.opened(place.room, "ab") as room:
                room.truncate(size)

    def _drop_oldest(self, place):
        """Remove the file that was used longest ago, but for that of a place; whether there was one to remove."""
        with files.locked(os.path.join(self.folder, ".lock")):
            held, _ = self._held()
            order = sorted(
                (used, folder) for folder, (used, size, _) in held.items() if size and folder != place.folder
            )
            return any(self._remove(_Place.at(folder)) for _, folder in order)

    def _held(self):
        """({folder of a file: (time of its last use, bytes, whether it is ahead)}, bytes of all)."""
        found, total = {}, 0
        with os.scandir(self.folder) as entries:
            # What else people have there is none of ours.
            ours = [entry for entry in entries if _OURS.fullmatch(entry.name)]
            folders = [entry.path for entry in ours if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            sizes, used, new = {}, 0.0, False
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        seen = entry.stat(follow_symlinks=False)
                        sizes[entry.name] = seen.st_size
                        used = seen.st_mtime_ns / 1e9 if entry.name == "lock" else used
                        new = new or entry.name == "ahead"
            part = max(sizes.pop("part", 0), sizes.pop("room", 0))
            found[folder] = used, part + sum(sizes.values()), new
            total += found[folder][1]
        return found, total

    def _remove(self, place):
        """Remove a file, its lock last; whether it is gone: not what somebody holds."""
        try:
            lock = place.lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        try:
            for name in sorted(os.listdir(place.folder), key=lambda name: name == "lock"):
                os.unlink(os.path.join(place.folder, name))
            with contextlib.suppress(OSError):
                os.rmdir(place.folder)
            return True
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _disk(self):
        """Tell what is wrong with the folder, as that is no fault of any frame."""
        try:
            try:
                os.makedirs(self.folder, exist_ok=True)
            except OSError as error:
                error.filename = self.folder
                raise
            yield
        except (remote.Away, remote.Refused):
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise BadInput(f"disk full, FRAME_CACHE names another folder: {self.folder!r}") from error
            raise BadInput(f"the cache of frames cannot be used, {wording(error)}: {self.folder!r}") from error


def _used(lock: int) -> None:
    # The system's own "now" is the same for all that happens within some ms.
    now = time.time_ns()
    os.utime(lock, ns=(now, now))


class Copy:
    """A copy that is in use: nobody removes it before it is closed.

    good: whether it may be used again, as it is what it should be: not every server tells a checksum.
    """

    def __init__(self, path: str, lock: int):
        self.path, self.good, self._lock = path, True, lock

    def close(self) -> None:
        """Let go of it."""
        if self._lock < 0:
            return
        if not self.good:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        os.close(self._lock)
        self._lock = -1


class _Place:
    """Where a file lies in the cache."""

    def __init__(self, folder: str, wanted: Wanted):
        digest = hashlib.sha256(repr(tuple(wanted)).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        name = _UNSAFE.sub("_", remote.name_of(wanted.url))[-100:].lstrip(".")
        self.wanted = wanted
        self._lie_in(os.path.join(folder, digest))
        # By readers that look at names; no other file of the place ends so.
        self.path = os.path.join(self.folder, name if name.endswith(".gwf") else f"{name}.gwf")

    @classmethod
    def at(cls, folder: str) -> "_Place":
        """The place that a folder is, of whatever file."""
        place = cls.__new__(cls)
        place._lie_in(folder)
        return place

    def _lie_in(self, folder):
        self.folder = folder
        self.part, self.room, self.ahead = (os.path.join(folder, name) for name in ("part", "room", "ahead"))
        self.about = f"{self.part}.json"

    def lock(self, how: int) -> int:
        """The handle of the lock, held as `how` says; BlockingIOError if that is not to wait and another has it."""
        path = os.path.join(self.folder, "lock")
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.folder)
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                continue  # removed in between
            try:
                fcntl.flock(handle, how)
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    return handle
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def drop_part(self) -> None:
        """Remove what is there of a file that is whole, or that is not to be gone on with."""
        for path in (self.part, self.about, self.room):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
