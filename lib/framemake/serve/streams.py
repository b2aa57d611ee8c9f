"""The streams as the server knows them: those of one folder, by their name, and nothing else that lies there.

A file of a stream is served if it is a plain file in that folder, or in its hidden folder while it waits to take its
place.  A link is not followed, wherever it points: what it leads to may be anything on the machine.
"""

import collections
import contextlib
import math
import os
import stat
import threading
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ..errors import BadInput
from ..frames import names as channel_names
from ..streams import envelope, reading, records, store
from ..streams.runs import Runs
from .query import Refused

# Streams kept open, a memory map and a short index each, by each process.  Not more than are looked at by turns: a file
# that was replaced keeps its place on the disk for as long as it is open.
_OPEN = 64
_ATTEMPTS = 20
LINK: Literal["link"] = "link"


# Bytes of blocks, see streams.envelope, that a process keeps; seconds for which one waits until others are made.
_BLOCKS, _PATIENCE = 48 << 20, 10.0


class StreamCurve(NamedTuple):
    """Points of a stream: GPS s and mean or rms of each, float64 arrays of one length, NaN where there is no data.

    low, high: the smallest and the largest sample of each point, where they were asked for.  step: the seconds of a
    point, None if each is a record.
    """

    name: str
    unit: str
    times: np.ndarray
    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    step: float | None = None


class ServedStreams:
    """The streams of a folder; what is opened once is kept for as long as its files and the state are the same."""

    def __init__(self, folder: str):
        self.folder = folder
        self._kept: collections.OrderedDict[str, tuple[tuple, store.Stream]] = collections.OrderedDict()
        self._entries: dict[str, tuple[tuple, dict]] = {}
        self._blocks: collections.OrderedDict[str, tuple[tuple, envelope.Blocks]] = collections.OrderedDict()
        self._lock, self._making = threading.Lock(), threading.Lock()

    def names(self) -> list[str]:
        """The names of all streams that are served, sorted."""
        try:
            found = store.names(self.folder)
        except BadInput as error:
            raise self._refusal(503, error) from None
        return [name for name in found if self._tag(name)]

    def tag(self, name: str) -> tuple:
        """What changes whenever the stream does, as a tuple; Refused, 404, if there is none that may be served."""
        found = self._tag(name)
        if not found:
            raise Refused(404, f"no such stream: {name[:200]!r}")
        return found

    def _tag(self, name):
        """The identity of the state and of the three files; () for what is not served."""
        if not name or "/" in name or "\0" in name or name.startswith(".") or not _is_text(name):
            return ()
        found = [identity(store.hidden(self.folder, store.STATE))]
        if found[0] == LINK or self._is_led_away():
            return ()
        for suffix in store.SUFFIXES:
            # In this order: a file that is moved to its place between the two is then found there.
            there = identity(store.hidden(self.folder, store.ASIDE, name + suffix))
            here = identity(os.path.join(self.folder, name + suffix))
            if LINK in (here, there) or not (here or there):
                return ()
            found += [here, there]
        return tuple(found)

    def _is_led_away(self):
        """Whether the hidden folder is a link: then what is in it lies elsewhere."""
        return any(os.path.islink(path) for path in (store.hidden(self.folder), store.hidden(self.folder, store.ASIDE)))

    def open(self, name: str) -> tuple[tuple, store.Stream]:
        """(tag, store.Stream) of a name, the tag not newer than the stream; Refused if it cannot be opened."""
        tag = self.tag(name)
        with self._lock:
            kept = self._kept.get(name)
            if kept and kept[0] == tag:
                self._kept.move_to_end(name)
                return kept
        try:
            stream = store.open_stream(self.folder, name)
        except BadInput as error:
            # It may have been removed meanwhile.
            raise self._refusal(503 if self._tag(name) else 404, error) from None
        with self._lock:
            self._kept[name] = tag, stream
            self._kept.move_to_end(name)
            while len(self._kept) > _OPEN:
                self._kept.popitem(last=False)
        return tag, stream

    def open_all(self, names: Sequence[str]) -> list[tuple[tuple, store.Stream]]:
        """[(tag, store.Stream)] of names, all as of one commit of the importer."""
        path = store.hidden(self.folder, store.STATE)
        for _ in range(_ATTEMPTS):
            before = identity(path)
            found = [self.open(name) for name in names]
            if identity(path) == before:
                return found
        raise Refused(503, "the streams change faster than they can be opened, try again")

    def listing(self) -> list[dict]:
        """The entries of /api/streams: a dict for each stream, in the order of names."""
        return [self._entry(name) for name in self.names()]

    def curves(
        self, names: Sequence[str], kind: str, start: float, end: float, points: int | None, band: bool = False
    ) -> list[StreamCurve]:
        """Means or rms of streams over a span in GPS s, as reading.points; Refused if one cannot be read.

        band: with the smallest and the largest sample of each point.
        """
        found = []
        for tag, stream in self.open_all(names):
            with refusing_damage(stream.name):
                times, values, edges = reading.curve(stream, kind, start, end, points)
                low = high = values if band else None
                if band and edges is not None:
                    low, high = envelope.band(stream, self._blocks_of(tag, stream), kind, edges, values)
            step = None if edges is None else (end - start) / len(values)
            found.append(StreamCurve(stream.name, _as_utf8(stream.info.units), times, values, low, high, step))
        return found

    def _blocks_of(self, tag, stream):
        """The Blocks of a stream, kept while it is the same; made by one thread at a time, as it may take a second."""
        name = stream.name
        if kept := self._kept_blocks(tag, name):
            return kept
        if not self._making.acquire(timeout=_PATIENCE):
            raise Refused(503, "busy with the bands of other streams, try again")
        try:
            if kept := self._kept_blocks(tag, name):
                return kept
            made = envelope.load(self.folder, stream)
        finally:
            self._making.release()
        with self._lock:
            self._blocks[name] = tag, made
            self._blocks.move_to_end(name)
            while len(self._blocks) > 1 and sum(held.nbytes for _, held in self._blocks.values()) > _BLOCKS:
                self._blocks.popitem(last=False)
        return made

    def _kept_blocks(self, tag, name):
        with self._lock:
            kept = self._blocks.get(name)
            if kept and kept[0] == tag:
                self._blocks.move_to_end(name)
                return kept[1]
        return None

    def file_bytes(self, file: str) -> np.ndarray:
        """The committed bytes of a file NAME.bin, NAME.index.bin or NAME.info, uint8; Refused if there is none.

        The text of an .info is made of what was read of it, which gives the importer's five lines again.
        """
        # .index.bin ends in .bin as well.
        for suffix in (records.INDEX_BIN, records.BIN, records.INFO):
            if file.endswith(suffix):
                _, stream = self.open(file.removesuffix(suffix))
                break
        else:
            raise Refused(404, f"no such file: {file[:200]!r}")
        if suffix == records.INFO:
            return np.frombuffer(records.info_text(stream.info).encode("utf-8", "surrogateescape"), np.uint8)
        held = stream.records if suffix == records.BIN else stream.index
        return held.view(np.uint8) if len(held) else np.empty(0, np.uint8)

    def _entry(self, name):
        entry = {"name": name, **channel_names.parts(name), **channel_names.told(name)}
        entry.update(dict.fromkeys(("sampling", "unit", "first", "last")))
        try:
            with self._lock:
                kept = self._entries.get(name)
            if kept and kept[0] == self.tag(name):
                return kept[1]
            tag, stream = self.open(name)
            entry["unit"] = _as_utf8(stream.info.units)
            if len(stream.records):
                entry.update(_extent(stream))
        except Refused as error:
            return {**entry, "problem": str(error)}
        with self._lock:
            self._entries[name] = tag, entry
        return entry

    def _refusal(self, status, error):
        """The Refused of an error of the store, without the folders of this machine, which no client need know."""
        return Refused(status, str(error).replace(self.folder.rstrip("/") + "/", "").replace(self.folder, "."))


def identity(path: str) -> tuple[int, int, int] | Literal["link"] | None:
    """(inode, mtime in ns, bytes) of a plain file, which change with its content.

    None if nothing is there, LINK for anything that is no plain file.
    """
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else LINK


def _is_text(name):
    """Whether a name can be written in UTF-8: file names can be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_utf8(units):
    return units.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _extent(stream):
    """{sampling, first, last} of a stream that has records; Refused if it is damaged."""
    first, last = (float(stream.records["time"][at]) for at in (0, -1))
    if not (math.isfinite(first) and math.isfinite(last)):
        raise Refused(503, f"stream is damaged, check-streams tells where: {stream.name!r}")
    with refusing_damage(stream.name):
        return {"sampling": sampling(stream, first, last), "first": first, "last": last}


@contextlib.contextmanager
def refusing_damage(name):
    """Refused in place of what numbers that no importer writes lead to, and of a file that becomes shorter."""
    try:
        with np.errstate(all="ignore"):
            yield
    except BadInput:
        raise Refused(503, f"stream is being changed, try again: {name!r}") from None
    except (ArithmeticError, LookupError, ValueError, TypeError, MemoryError):
        raise Refused(503, f"stream is damaged, check-streams tells where: {name!r}") from None


def sampling(stream: store.Stream, first: float, last: float) -> str | None:
    """The seconds between the samples of a stream, as '1 s' or '1 s, 60 s' where it has several; None if unknown."""
    runs = Runs(stream, first, last)
    # A record that bounds a gap has a step of its own, of one record only; samples have many of one length.
    many = runs.plain & (runs.steps > 1)
    found = runs.interval[many if many.any() else runs.plain & (runs.steps > 0)]
    found = sorted(set(np.round(found[np.isfinite(found) & (found > 0)], 6).tolist()))
    return ", ".join(f"{seconds:g} s" for seconds in found) or None
