"""Open frame files, kept open between blocks, with a limit to the memory that they take; failing reads tried again.

Files at URLs are read as copies in the cache; while one is read the next are fetched.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from .. import gwf
from ..errors import wording
from ..frames import cache, catalog, remote
from .plan import streams_kept

_ATTEMPT_PAUSE = 0.05
# So many files in a row that a server does not give are enough.
_MANY = 8


class Reader:
    """Frame files by path.

    retries: how often reads of a file that fail are tried again, all of them together.  names: how many channels a file
    has, about: an open file takes memory for each.  frames: all that may be read, at URLs or not.  ahead: those at
    URLs that will be, in their order.
    """

    def __init__(
        self,
        retries: int = 3,
        names: int = 1000,
        frames: Iterable[catalog.Frame] = (),
        ahead: Iterable[catalog.Frame] = (),
    ):
        self._retries = retries
        self._left: dict[str, int] = {}
        self._names, self._largest = names, 0
        self._open: OrderedDict = OrderedDict()
        self._bad: dict[str, gwf.BadFrame] = {}
        self._refusals: dict[str, str] = {}
        # What is kept of a file is of one that was there before, at the same place.
        known = [frame for frame in frames if frame.is_remote and frame.status != catalog.KEPT]
        self._wanted = {frame.path: catalog.wanted(frame) for frame in known}
        self._order = [frame.path for frame in ahead]
        self._place = {path: at for at, path in enumerate(self._order)}
        self._cache = cache.Cache.of_environment() if self._wanted else None
        self._copies: dict[str, cache.Copy] = {}
        # Servers that gave no answer in all the retries, or none that is good of several files in a row, which are
        # counted: none of their files is waited for again.
        self._away: dict[str, remote.Away] = {}
        self._failed: dict[str, int] = {}

    def open(self, path: str) -> Any:
        """The open file of a path, see gwf.open_file; raises gwf.BadFrame, and again at once for a bad path."""
        if path in self._bad:
            raise self._bad[path]
        file = self._open.get(path)
        if file is None:
            try:
                file = self._try(path, self._opened, path)
            except gwf.BadFrame as error:
                self._bad[path] = error
                raise
            self._open[path] = file
            self._close_some()
        self._open.move_to_end(path)
        return file

    def close(self) -> None:
        """Close all files, and let go of their copies."""
        self._open.clear()
        for path in list(self._copies):
            self._copies.pop(path).close()

    def _opened(self, path):
        if path not in self._wanted:
            return gwf.open_file(path)
        server = remote.server_of(path)
        if server in self._away:
            raise self._away[server]
        assert self._cache is not None
        for again in (True, False):
            # Where the cache has no room for it, what is open goes: it is fetched again, if it is read again.
            copy = self._cache.copy(self._wanted[path], self.close)
            try:
                file = gwf.open_file(copy.path)
            except gwf.BadFrame as error:
                # It may have been damaged on its way, or here.
                copy.good = False
                copy.close()
                if not again:
                    raise gwf.Damaged(str(error)) from error
            except BaseException:
                copy.close()
                raise
            else:
                break
        self._failed.pop(server, None)
        self._copies[path] = copy
        at = self._place.get(path, len(self._order))
        self._cache.fetch_ahead(self._wanted[each] for each in self._order[at + 1 : at + 1 + cache.AHEAD])
        return file

    def read(self, path: str, file: Any, index: int, name: str, kind: str) -> gwf.Series | None:
        """The gwf.Series of a channel in a frame of the open file of a path; raises gwf.BadFrame."""
        try:
            series = self._try(path, file.read, index, name, kind)
        except gwf.BadFrame:
            if path in self._copies:
                self._copies[path].good = False
            raise
        if series and series.data is not None and series.data.nbytes > self._largest:
            self._largest = series.data.nbytes
            self._close_some()
        return series

    def _close_some(self):
        """Close the files used longest ago, as far as memory wants it."""
        most = streams_kept(self._names, self._largest)
        while len(self._open) > most:
            path, _ = self._open.popitem(last=False)
            if path in self._copies:
                self._copies.pop(path).close()

    def _try(self, path: str, call: Callable, *args: Any) -> Any:
        while True:
            try:
                return call(*args)
            except (gwf.BadFrame, OSError) as error:
                server, pause = "", 0.0
                if isinstance(error, remote.Away):
                    server, pause = error.server, error.after
                key = server or path
                left = self._left.get(key, self._retries)
                # A disk may give another time what it does not give now; what is there and is wrong stays wrong.
                if left == 0 or isinstance(error, (gwf.Damaged, remote.Refused)):
                    if isinstance(error, remote.Away):
                        where = remote.server_of(path)
                        self._failed[where] = self._failed.get(where, 0) + 1
                        if server or self._failed[where] >= _MANY:
                            self._away[where] = error
                    raise self._blamed(path, error) from error
                self._left[key] = left - 1
                time.sleep(max(pause, _ATTEMPT_PAUSE * 2 ** (self._retries - left)))

    def _blamed(self, path, error):
        """What is raised for an error that stays: gwf.Unreadable if the file, as it is, cannot be had."""
        if isinstance(error, OSError):
            return gwf.Unreadable(wording(error))
        if path in self._wanted:
            return error  # the copy was whole, and could be read
        if path not in self._refusals:
            # frameCPP and lalframe do not tell a disk that fails from a file that is damaged.
            self._refusals[path] = gwf.refusal(path)
        return gwf.Unreadable(self._refusals[path]) if self._refusals[path] else error
