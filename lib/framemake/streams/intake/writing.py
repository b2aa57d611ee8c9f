"""Writing to a folder of streams so that a kill at any moment leaves what was committed last.

An import appends beyond the committed lengths, where no reader looks.  To commit, it waits until all of that is on the
disk, and then puts one small state file in the place of the old one.  New streams, and streams whose end is
written again, are made in the hidden folder and take their place after the commit that names them.  Whatever a
killed import left beyond the committed lengths is cut off by the next.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ... import files
from ...errors import BadInput
from .. import records, store
from . import disk, sums, tree

LOG = "ligoimport.files"
_LOCK, _RUNNING, _FAULTS, _STAMPS, _TAIL = "lock", "running", "faults", "stamps", ".tail"
# The stamp that notes that nothing is wrong with a file any more.
_MENDED = tree.Stamp(-1, -1)
# Of what is wrong with a file so many reasons are noted.
_REASONS = 3
# A list of a line for each change is written anew when so many lines of it are of no more use.
_SPARE = 1000


class Lengths(NamedTuple):
    """How many records and index entries a stream has."""

    records: int
    entries: int


class StreamState(NamedTuple):
    """A stream as the importer knows it: its info, R, site, how much of it is committed, where it stands after that."""

    info: records.Info
    rate: float
    site: str
    counts: Lengths = Lengths(0, 0)
    running: sums.Running = sums.Running()

    @classmethod
    def of(cls, entry: store.StreamEntry) -> "StreamState":
        """From the entry of a stream in the state file."""
        counts = Lengths(entry["records"], entry["entries"])
        running = sums.Running(*entry["running"])
        return cls(records.Info(*entry["info"]), entry["rate"], entry["site"], counts, running)

    def entry(self) -> store.StreamEntry:
        """The entry of the stream in the state file."""
        return {
            "records": self.counts.records,
            "entries": self.counts.entries,
            "info": list(self.info),
            "rate": self.rate,
            "site": self.site,
            "running": list(self.running),
        }


def lock_path(folder: str) -> str:
    """The file that an import of a folder holds the lock of."""
    return store.hidden(folder, _LOCK)


def locked(folder: str, wait: bool) -> contextlib.AbstractContextManager[int | None]:
    """Hold the lock of a folder's importer; gives None if another holds it and wait is False."""
    os.makedirs(store.hidden(folder, store.ASIDE), exist_ok=True)
    return files.locked(lock_path(folder), wait)


class Noted(NamedTuple):
    """A file of the tree that could not be used, or a channel in it: its Stamp then, and why ('' in old lists)."""

    stamp: tree.Stamp
    reason: str


def faulty(folder: str) -> dict[str, Noted]:
    """{name: Noted} of the files that something is wrong with, as the last commit to a folder of streams has it.

    A stray's name has the folders of the tree before it.
    """
    state = store.load(folder)
    noted = dict(_noted_faults(folder, state["faults"])) if state else {}
    return {name: held for name, held in noted.items() if held.stamp.size >= 0}


def tree_of(folder: str) -> str | None:
    """The path of the tree of frames that the last commit to a folder of streams came from; None if it is not there."""
    state = store.load(folder)
    return state["tree"] if state and os.path.isdir(state["tree"]) else None


def stamps(folder: str) -> dict[str, tree.Stamp]:
    """{name: Stamp} of the files that were imported, as they were then; of long ago it may not be known."""
    state = store.load(folder)
    return dict(_noted_stamps(folder, state["stamps"])) if state else {}


def _noted_faults(folder: str, size: int) -> Iterator[tuple[str, Noted]]:
    """(name, Noted) of each line in the first `size` bytes of a folder's list of faulty files.

    The last line of a name counts; its stamp's size is below 0 if nothing is wrong with the file any more.
    """
    for stamp, rest in _stamped_lines(store.hidden(folder, _FAULTS), size):
        name, _, reason = rest.partition("\0")
        yield name, Noted(stamp, reason)


def _noted_stamps(folder: str, size: int) -> Iterator[tuple[str, tree.Stamp]]:
    for stamp, name in _stamped_lines(store.hidden(folder, _STAMPS), size):
        yield name, stamp


def _stamped_lines(path, size):
    """(Stamp, the rest) of each line in the first `size` bytes of a list."""
    try:
        with files.opened(path, "rb") as source:
            text = source.read(size).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return
    for line in text.split("\n")[:-1]:
        length, mtime, rest = line.split("\t", 2)
        yield tree.Stamp(int(length), int(mtime)), rest


class Writer:
    """The one that writes to a folder of streams; its lock must be held.

    streams: {name: StreamState} of the streams that the state knows.
    damaged: {name: Lengths} of streams that hold fewer than were committed: what is there.
    former: {name: StreamState} of streams that another program has appended to; they are not in `streams`.
    mended: (stream, what was mended) for the error log.
    others: names of the files that another program has written to since our last commit.
    done: the names that the log of files holds; faults: {name: Stamp} of files that could not be used, or of which a
    channel could not; stamps: {name: Stamp} of files as they were when they were imported.
    """

    def __init__(self, folder: str, names: Iterable[str], root: str = ""):
        """names: of the files to look for in the log: only these are kept of a log of many years; root: of the tree."""
        self.folder, self._root, names = folder, os.path.abspath(root) if root else "", set(names)
        # What a path in the folder begins with, and one of what is made aside: there are some thousands.
        self._begin, self._begin_aside = os.path.join(folder, ""), store.hidden(folder, store.ASIDE, "")
        known = store.load(folder)
        self._state = known or store.empty()
        self.streams = {name: StreamState.of(entry) for name, entry in self._state["streams"].items()}
        self.damaged: dict[str, Lengths] = {}
        self.former: dict[str, StreamState] = {}
        self.mended: list[tuple[str, str]] = []
        self.others: list[str] = []
        # Streams whose index is no longer what somebody may have read.
        self._reindexed: set[str] = set()
        # What the streams will hold after the next commit, and those of them that are whole in the hidden folder.
        self._ahead: dict[str, Lengths] = {}
        self._fresh: set[str] = set()
        self._crashed = os.path.exists(store.hidden(folder, _RUNNING))
        with files.opened(store.hidden(folder, _RUNNING), "ab"):
            pass
        files.sync_folder(store.hidden(folder))
        self._recover()
        self.done = self._logged(names, known is not None)
        self.faults = self._read_faults(names)
        self.stamps = self._read_stamps(names)
        self._new_faults: dict[str, tree.Stamp] = {}
        self._reasons: dict[str, list[str]] = {}
        if known is None:
            # With a state, lines that a killed import adds to the log can be told from the original importer's.
            self._put_state()

    # --- what is there ----------------------------------------------------------------------

    def _recover(self):
        self._settle()
        aside = store.hidden(self.folder, store.ASIDE)
        for name in os.listdir(aside):
            os.unlink(os.path.join(aside, name))
        for name, held in list(self.streams.items()):
            self._recover_stream(name, held)

    def _recover_stream(self, name, held):
        """Cut off what a killed import left of a stream, and note what is damaged, gone, or another program's."""
        there = []
        sizes = records.record(held.info.datatype).itemsize, records.INDEX.itemsize
        for suffix, size, count in zip((records.BIN, records.INDEX_BIN), sizes, held.counts, strict=True):
            path = self._path(name, suffix)
            length = disk.size_of(path)
            there.append(-1 if length < 0 else min(length // size, count))
            if length > count * size:
                if self._crashed:
                    disk.cut(path, count * size)
                else:
                    self.former[name] = held
        if max(there) < 0 and disk.size_of(self._path(name, records.INFO)) < 0:
            self.mended.append((name, "its files were removed: it begins anew"))
            del self.streams[name]
            return
        if min(there) < 0 or tuple(there) != held.counts:
            self.damaged[name] = Lengths(max(there[0], 0), max(there[1], 0))
        elif name in self.former:
            self.mended.append((name, "has grown since our last import: taken as it is"))
            self.others.append(name + records.BIN)
            del self.streams[name]
            return
        self._mend_info(name, held.info)

    def _mend_info(self, name, info):
        path = self._path(name, records.INFO)
        try:
            records.parse_info(files.read_text(path), path)
        except (FileNotFoundError, BadInput):
            self.mended.append((name, "its .info was not whole: written anew"))
            files.write(path, records.info_text(info))

    def _logged(self, names, known):
        """Those of `names` that the log holds; what a killed import left in it is cut off."""
        path = os.path.join(self.folder, LOG)
        size = max(disk.size_of(path), 0)
        if size > self._state["log"] and self._crashed and known:
            disk.cut(path, self._state["log"])
        elif size:
            if known and size > self._state["log"]:
                self.others.append(LOG)
            # A last line that is not whole is a file that was not done.
            with files.opened(path, "rb+") as log:
                log.seek(max(0, size - 4096))
                rest = log.read()
                whole = size - len(rest) + rest.rfind(b"\n") + 1
                if whole != size:
                    log.truncate(whole)
        self._state["log"] = max(disk.size_of(path), 0)
        if not self._state["log"]:
            return set()
        wanted = {os.fsencode(name) + b"\n" for name in names}
        with files.opened(path, "rb") as log:
            return {os.fsdecode(line[:-1]) for line in wanted.intersection(log)}

    def _read_faults(self, names):
        """{name: Stamp} of files in the tree that had faults, and of strays; the last line of a name counts."""
        path = store.hidden(self.folder, _FAULTS)
        disk.cut(path, self._state["faults"])
        self._state["faults"] = max(disk.size_of(path), 0)
        noted = list(_noted_faults(self.folder, self._state["faults"]))
        # Those of files that are not there now as well: a tree may be away for a night.
        found = {name: held for name, held in dict(noted).items() if held.stamp.size >= 0}
        if len(noted) > 2 * len(found) + _SPARE:
            text = "".join(_fault_line(name, *held) for name, held in found.items())
            files.write(path, text)
            self._state["faults"] = len(os.fsencode(text))
        # A stray's name has the folders of the tree before it.
        return {name: held.stamp for name, held in found.items() if name in names or "/" in name}

    def _read_stamps(self, names):
        """{name: Stamp} of files in the tree as they were when they were imported; the last line of a name counts.

        The list is of all years: of a line for a file that is not asked for no more is looked at than its name.
        """
        path = store.hidden(self.folder, _STAMPS)
        disk.cut(path, self._state["stamps"])
        self._state["stamps"] = max(disk.size_of(path), 0)
        wanted, found, lines, seen = {os.fsencode(name): name for name in names}, {}, 0, set()
        with contextlib.suppress(FileNotFoundError), files.opened(path, "rb") as source:
            for line in source:
                if not line.endswith(b"\n"):
                    break
                _, _, name = line[:-1].split(b"\t", 2)
                seen.add(hash(name))
                lines += 1
                if name in wanted:
                    found[wanted[name]] = line
        if lines > 2 * len(seen) + _SPARE:
            noted = dict(_noted_stamps(self.folder, self._state["stamps"]))
            text = "".join(_stamp_line(name, stamp) for name, stamp in noted.items())
            files.write(path, text)
            self._state["stamps"] = len(os.fsencode(text))
        return {name: tree.Stamp(*map(int, line.split(b"\t", 2)[:2])) for name, line in found.items()}

    def _path(self, name, suffix):
        return f"{self._begin}{name}{suffix}"

    def committed(self, name: str) -> store.Stream:
        """A stream as it is committed, as store.open_stream gives it; of a damaged one what there is."""
        held, counts = self.streams[name], self._counts(name)
        dtype = records.record(held.info.datatype)
        kept, index = records.mapped(self._path(name, records.BIN), dtype, counts.records), np.zeros(0, records.INDEX)
        if counts.entries:
            index = records.copied(self._path(name, records.INDEX_BIN), records.INDEX, counts.entries)
        return store.Stream(name, held.info, held.rate, kept, index)

    def _counts(self, name):
        """The Lengths of a stream, as far as its files hold them."""
        return self.damaged.get(name, self.streams[name].counts)

    # --- what is added ----------------------------------------------------------------------

    def begin(self, name: str, state: StreamState) -> None:
        """Add a stream of which there is nothing yet."""
        self.streams[name] = state
        self._fresh.add(name)
        disk.write_at(self._aside(name, records.INFO), 0, records.info_text(state.info).encode())

    def adopt(self, name: str, state: StreamState) -> None:
        """Add a stream whose files are there, from another importer."""
        self.streams[name] = state

    def append(self, name: str, made: np.ndarray, index: np.ndarray, ends: sums.Running) -> None:
        """Append records and index entries to a stream, after which it stands at `ends`."""
        count, entries = self._ahead.get(name, self._counts(name))
        for suffix, at, items in ((records.BIN, count, made), (records.INDEX_BIN, entries, index)):
            path = self._aside(name, suffix) if name in self._fresh else self._path(name, suffix)
            if name not in self._fresh and name not in self.damaged:
                _ours_alone(path, at * items.dtype.itemsize)
            disk.write_at(path, at * items.dtype.itemsize, items)
        self.streams[name] = self.streams[name]._replace(running=ends)
        self._ahead[name] = Lengths(count + len(made), entries + len(index))
        if len(index):
            self._reindexed.add(name)

    def replace(self, name: str, keep: Lengths, tail: "Tail", ends: sums.Running) -> None:
        """Write a stream anew: its first `keep` records and entries, then a Tail, after which it stands at `ends`."""
        import shutil

        parts = (records.BIN, keep.records, tail.dtype), (records.INDEX_BIN, keep.entries, records.INDEX)
        for suffix, count, dtype in parts:
            new = self._aside(name, suffix)
            with files.named(new), files.opened(new, "wb") as out:
                if count:
                    with files.opened(self._path(name, suffix), "rb") as source:
                        files.copy_head(source.fileno(), out.fileno(), count * dtype.itemsize)
                with files.opened(new + _TAIL, "rb") as source:
                    shutil.copyfileobj(source, out, 1 << 20)
        tail.drop()
        self._fresh.add(name)
        self._reindexed.add(name)
        self._ahead[name] = Lengths(keep.records + tail.counts.records, keep.entries + tail.counts.entries)
        self.streams[name] = self.streams[name]._replace(running=ends)

    def tail(self, name: str) -> "Tail":
        """A new Tail of a stream in the hidden folder."""
        return Tail(self._aside(name, ""), records.record(self.streams[name].info.datatype))

    def _aside(self, name, suffix):
        return f"{self._begin_aside}{name}{suffix}"

    def fault(self, name: str, stamp: tree.Stamp | None, reason: str = "") -> None:
        """Note that a file, or a channel in it, could not be used, and why; None for the stamp: that it now could."""
        if stamp is not None:
            self._new_faults[name] = stamp
            self._reasons.setdefault(name, []).append(reason)
        elif name in self.faults or name in self._new_faults:
            self._new_faults[name] = _MENDED
            self._reasons.pop(name, None)

    def _reason(self, name):
        """What was noted of a file, as one line."""
        found = list(dict.fromkeys(filter(None, self._reasons.get(name, []))))
        more = f"; and {len(found) - _REASONS} more" if len(found) > _REASONS else ""
        return "; ".join(found[:_REASONS]) + more

    def commit(self, lines: Iterable[str] = (), read: Mapping[str, tree.Stamp] | None = None) -> None:
        """Make all that was appended, replaced and noted count, and the lines stand in the log of files.

        read: {name: Stamp} of the files that are now in the streams, as they were when they were read.
        Raises BadInput if another program has written to them meanwhile: then nothing of it counts.
        """
        _ours_alone(os.path.join(self.folder, LOG), self._state["log"])
        for name, counts in self._ahead.items():
            if name not in self._fresh and name not in self.damaged:
                item = records.record(self.streams[name].info.datatype).itemsize
                _ours_alone(self._path(name, records.BIN), counts.records * item)
                _ours_alone(self._path(name, records.INDEX_BIN), counts.entries * records.INDEX.itemsize)
        text = "".join(f"{line}\n" for line in lines)
        self._state["log"] += disk.write_at(os.path.join(self.folder, LOG), self._state["log"], os.fsencode(text))
        noted = "".join(_fault_line(name, stamp, self._reason(name)) for name, stamp in self._new_faults.items())
        path = store.hidden(self.folder, _FAULTS)
        self._state["faults"] += disk.write_at(path, self._state["faults"], os.fsencode(noted))
        self.faults.update(self._new_faults)
        self._new_faults, self._reasons = {}, {}
        changed = {name: stamp for name, stamp in (read or {}).items() if self.stamps.get(name) != stamp}
        noted = "".join(_stamp_line(name, stamp) for name, stamp in changed.items())
        path = store.hidden(self.folder, _STAMPS)
        self._state["stamps"] += disk.write_at(path, self._state["stamps"], os.fsencode(noted))
        self.stamps.update(changed)
        for name, counts in self._ahead.items():
            self.streams[name] = self.streams[name]._replace(counts=counts)
            self.damaged.pop(name, None)
        self._state["pending"] = sorted(self._fresh)
        disk.sync_all(store.hidden(self.folder))
        self._put_state()
        self._ahead, self._fresh = {}, set()
        self._settle()

    def rollback(self) -> None:
        """Cut off what was appended since the last commit, so that a full disk gets its room back at once."""
        with contextlib.suppress(OSError, ValueError):
            state = store.load(self.folder) or store.empty()
            for name in [] if state["pending"] else os.listdir(store.hidden(self.folder, store.ASIDE)):
                os.unlink(store.hidden(self.folder, store.ASIDE, name))
            for name in self._ahead:
                held = state["streams"].get(name)
                if held and name not in state["pending"]:
                    disk.cut(self._path(name, records.BIN), held["records"] * records.record("int").itemsize)
                    disk.cut(self._path(name, records.INDEX_BIN), held["entries"] * records.INDEX.itemsize)
            disk.cut(os.path.join(self.folder, LOG), state["log"])

    def finish(self, read: Mapping[str, tree.Stamp]) -> None:
        """Commit what was noted of faults, and what files were that are in the streams, if that is new."""
        changed = self._root != self._state["tree"] or any(self.stamps.get(name) != read[name] for name in read)
        if self._new_faults or self._ahead or changed:
            self.commit(read=read)

    def ask_to_reload(self) -> None:
        """Have the e-Lab's own engine, if one runs, read the indexes again, if one of them is another.

        It keeps them in memory, and looks each hour whether the .info files have another length in all.  An empty
        line more in one of them changes nothing for whoever reads it, as Java properties or as records.parse_info.
        """
        if self._reindexed:
            path = self._path(min(self._reindexed), records.INFO)
            files.write(path, files.read_text(path, newline="") + "\n")

    def close(self) -> None:
        """Note that nothing lies beyond what is committed."""
        os.unlink(store.hidden(self.folder, _RUNNING))

    def _put_state(self):
        self._state["tree"] = self._root
        self._state["streams"] = {name: held.entry() for name, held in self.streams.items()}
        path = store.hidden(self.folder, store.STATE)
        files.write(path, json.dumps(self._state, allow_nan=False, separators=(",", ":")))
        files.sync_folder(store.hidden(self.folder))

    def _settle(self):
        """Let the streams that wait in the hidden folder take their place."""
        if not self._state["pending"]:
            return
        for name in self._state["pending"]:
            for suffix in store.SUFFIXES:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(self._aside(name, suffix), self._path(name, suffix))
        files.sync_folder(self.folder)
        self._state["pending"] = []
        self._put_state()


class Tail:
    """Records and index entries that may take the place of the end of a stream, in files beside it.

    dtype: of the records; counts: how many records and entries there are.
    """

    def __init__(self, path: str, dtype: np.dtype):
        self._path, self.dtype = path, dtype
        self.counts = Lengths(0, 0)
        for suffix in (records.BIN, records.INDEX_BIN):
            with files.named(path), files.opened(path + suffix + _TAIL, "wb"):
                pass

    def append(self, made: np.ndarray, index: np.ndarray) -> None:
        """Append records and index entries."""
        count, entries = self.counts
        disk.write_at(self._path + records.BIN + _TAIL, count * self.dtype.itemsize, made)
        disk.write_at(self._path + records.INDEX_BIN + _TAIL, entries * records.INDEX.itemsize, index)
        self.counts = Lengths(count + len(made), entries + len(index))

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """(records, index entries), the records as a memory map."""
        made = records.mapped(self._path + records.BIN + _TAIL, self.dtype, self.counts.records)
        return made, records.copied(self._path + records.INDEX_BIN + _TAIL, records.INDEX)

    def drop(self) -> None:
        """Remove the files."""
        for suffix in (records.BIN, records.INDEX_BIN):
            os.unlink(self._path + suffix + _TAIL)


def _fault_line(name, stamp, reason):
    noted = f"\0{' '.join(reason.split())}" if reason else ""
    return f"{stamp.size}\t{stamp.mtime}\t{' '.join(name.splitlines())}{noted}\n"


def _stamp_line(name, stamp):
    return f"{stamp.size}\t{stamp.mtime}\t{name}\n"


def _ours_alone(path, size):
    """Raise BadInput if a file has more bytes than we wrote."""
    if disk.size_of(path) > size:
        raise BadInput(f"another program writes to the streams at the same time, so this import ends: {path!r}")
