"""Open frame files, kept open between blocks, with a limit to the memory that they take; failing reads tried again."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .. import gwf
from ..errors import wording
from .plan import streams_kept

_ATTEMPT_PAUSE = 0.05


class Reader:
    """Frame files by path.

    retries: how often reads of a file that fail are tried again, all of them together.  names: how many channels a file
    has, about: an open file takes memory for each.
    """

    def __init__(self, retries: int = 3, names: int = 1000):
        self._retries = retries
        self._left: dict[str, int] = {}
        self._names, self._largest = names, 0
        self._open: OrderedDict = OrderedDict()
        self._bad: dict[str, gwf.BadFrame] = {}
        self._refusals: dict[str, str] = {}

    def open(self, path: str) -> Any:
        """The open file of a path, see gwf.open_file; raises gwf.BadFrame, and again at once for a bad path."""
        if path in self._bad:
            raise self._bad[path]
        file = self._open.get(path)
        if file is None:
            try:
                file = self._try(path, gwf.open_file, path)
            except gwf.BadFrame as error:
                self._bad[path] = error
                raise
            self._open[path] = file
            self._close_some()
        self._open.move_to_end(path)
        return file

    def read(self, path: str, file: Any, index: int, name: str, kind: str) -> gwf.Series | None:
        """The gwf.Series of a channel in a frame of the open file of a path; raises gwf.BadFrame."""
        series = self._try(path, file.read, index, name, kind)
        if series and series.data is not None and series.data.nbytes > self._largest:
            self._largest = series.data.nbytes
            self._close_some()
        return series

    def _close_some(self):
        """Close the files used longest ago, as far as memory wants it."""
        most = streams_kept(self._names, self._largest)
        while len(self._open) > most:
            self._open.popitem(last=False)

    def _try(self, path: str, call: Callable, *args: Any) -> Any:
        while True:
            try:
                return call(*args)
            except (gwf.BadFrame, OSError) as error:
                left = self._left.get(path, self._retries)
                # A disk may give another time what it does not give now; what is there and is wrong stays wrong.
                if left == 0 or isinstance(error, gwf.Damaged):
                    raise self._blamed(path, error) from error
                self._left[path] = left - 1
                time.sleep(_ATTEMPT_PAUSE * 2 ** (self._retries - left))

    def _blamed(self, path, error):
        """What is raised for an error that stays: gwf.Unreadable if the file, as it is, cannot be had."""
        if isinstance(error, OSError):
            return gwf.Unreadable(wording(error))
        if path not in self._refusals:
            # frameCPP and lalframe do not tell a disk that fails from a file that is damaged.
            self._refusals[path] = gwf.refusal(path)
        return gwf.Unreadable(self._refusals[path]) if self._refusals[path] else error
