"""The e-Lab's streams as the keeper of the frames that they were imported from."""

import bisect
import contextlib
import os

from .. import files, gwf
from ..errors import BadInput
from ..frames import catalog
from ..streams import store
from ..streams.intake import samples, tree, writing
from .retention import Kept, Reason

# So many streams are kept open, each with a file.
_OPEN = 400


class StreamKeeper:
    """A folder of streams: a frame may go when it has been imported, as the file that it is, and each stream in it has
    records of its span.

    root: the tree of frames; a file that is not where the import looks for it does not concern the streams.  A frame
    that comes late can be put in its place only while those after it are there.
    Raises BadInput if there is no such folder of streams.
    """

    def __init__(self, folder: str, root: str):
        if not os.path.isdir(folder):
            raise BadInput(f"no such folder: {folder!r}")
        self.folder, root = folder, os.path.abspath(root)
        # Times of the records of streams, by name.
        self._streams: dict = {}
        self._paths = {file.path for site in tree.SITES for file in tree.files(root, site)[0]}
        self._state = store.load(folder)
        self._read()

    def concerns(self, frame: catalog.Frame) -> bool:
        """Whether a frame is where the import looks for it."""
        return frame.path in self._paths

    def hold(self, days: list[str], held: contextlib.ExitStack, remove: bool) -> Kept | None:
        """Hold the lock of the importer until `held` is left; Kept if an import is at work."""
        lock = writing.lock_path(self.folder)
        if not remove or not os.path.exists(lock):
            return None
        if held.enter_context(files.locked(lock, wait=False)) is None:
            return Kept(Reason.UNFINISHED, "an import of the streams is at work")
        if store.load(self.folder) != self._state:
            self._state, self._streams = store.load(self.folder), {}
            self._read()
        return None

    def _read(self):
        """Read what is committed: names that the log holds, files that something was wrong with, what files were."""
        log = os.path.join(self.folder, writing.LOG)
        self._done = set(_head(log, self._state and self._state["log"]))
        self._faulty = writing.faulty(self.folder)
        self._stamps = writing.stamps(self.folder)

    def objection(self, frame: catalog.Frame, days: list[str]) -> Kept | None:
        """Why a frame is Kept; None if it may go."""
        name = os.path.basename(frame.path)
        if name in self._faulty:
            return Kept(Reason.NOT_USED, "could not be used for the streams")
        if name not in self._done:
            return Kept(Reason.UNFINISHED, "not in the streams")
        if self._stamps.get(name, (frame.size, frame.mtime)) != (frame.size, frame.mtime):
            return Kept(Reason.UNFINISHED, "has changed since it came into the streams")
        try:
            held = samples.streams_of(frame.path)
        except (gwf.BadFrame, OSError):
            return Kept(Reason.NOT_USED, "cannot be read any more")
        missing = sorted(stream for stream in held if not self._has(stream, frame.start, frame.end))
        return Kept(Reason.WRONG, f"its span is not in {len(missing)} streams: {missing[0]!r}") if missing else None

    def _has(self, name, start, end):
        """Whether a stream has a record in a span."""
        if name not in self._streams:
            if len(self._streams) >= _OPEN:
                self._streams.clear()
            try:
                self._streams[name] = store.open_stream(self.folder, name).records["time"]
            except BadInput:
                self._streams[name] = ()
        times = self._streams[name]
        at = bisect.bisect_left(times, start)
        return at < len(times) and times[at] < end

    def note_removal(self, frames: list[catalog.Frame], days: list[str]) -> None:
        """Nothing: the log of the streams names them already."""


def _head(path, size):
    """The whole lines of the first `size` bytes of a file, all of it for None; none if it is not there."""
    try:
        with files.opened(path, "rb") as source:
            raw = source.read() if size is None else source.read(size)
    except FileNotFoundError:
        return []
    return os.fsdecode(raw).split("\n")[:-1]
