"""Writing to a folder of streams so that a kill at any moment leaves what was committed last.

An import appends beyond the committed lengths, which nobody reads yet; then everything goes to the disk, and then
one small state file takes the place of the old one: that is the commit.  New streams, and streams whose end is
written again, are made in the hidden folder and take their place after the commit that names them.  Whatever a
killed import left beyond is cut off by the next.
"""

import contextlib
import ctypes
import errno
import json
import os
import shutil

import numpy as np

from ... import files
from .. import records, store
from . import sums

LOG, ERRORS = "ligoimport.files", "ImportData.errors"
_LOCK, _RUNNING, _FAULTS, _TAIL = "lock", "running", "faults", ".tail"
_COPY = 1 << 26


def locked(folder, wait):
    """Hold the lock of a folder's importer; gives None if another holds it and wait is False."""
    os.makedirs(store.hidden(folder, store.ASIDE), exist_ok=True)
    return files.locked(store.hidden(folder, _LOCK), wait)


class Writer:
    """The one that writes to a folder of streams; its lock must be held.

    streams: {name: dict} of the committed state: records, entries: how many; info, rate, site, running, as lists.
    damaged: {name: (records, entries)} of streams that hold fewer than were committed: what is there.
    told: what was mended, for the error log.  done: the names that the log holds; faults: {name: (size, mtime in ns)}
    of files that could not be used, or of which a channel could not.
    """

    def __init__(self, folder, names):
        """names: of the files that the log is asked for: only these are kept of a log of many years."""
        self.folder = folder
        known = store.load(folder)
        self.state = known or store.empty()
        self.streams = self.state["streams"]
        self.damaged, self.told, self.former = {}, [], {}
        self._ahead, self._fresh = {}, {}
        self._crashed = os.path.exists(store.hidden(folder, _RUNNING))
        with open(store.hidden(folder, _RUNNING), "ab"):
            pass
        files.sync_folder(store.hidden(folder))
        self._recover()
        self.done = self._logged(names, known is not None)
        self.faults = self._read_faults(set(names))
        self._new_faults = {}
        if known is None:
            # Lines of the log that a kill leaves from here on are told from those of the original importer by this.
            self._put_state()

    # --- what is there ----------------------------------------------------------------------

    def _recover(self):
        self._settle()
        aside = store.hidden(self.folder, store.ASIDE)
        for name in os.listdir(aside):
            os.unlink(os.path.join(aside, name))
        for name, held in list(self.streams.items()):
            dtype = records.record(held["info"][0])
            counts = []
            for suffix, size, kept in ((records.BIN, dtype.itemsize, "records"), (records.INDEX_BIN, 16, "entries")):
                path = self._path(name, suffix)
                there = _size(path)
                counts.append(-1 if there < 0 else min(there // size, held[kept]))
                if there > held[kept] * size:
                    if not self._crashed:
                        self.former[name] = held
                    else:
                        _cut(path, held[kept] * size)
            if max(counts) < 0 and _size(self._path(name, records.INFO)) < 0:
                self.told.append((name, "its files were removed: it begins anew"))
                del self.streams[name]
                continue
            if min(counts) < 0 or counts != [held["records"], held["entries"]]:
                self.damaged[name] = (max(counts[0], 0), max(counts[1], 0))
            elif name in self.former:
                self.told.append((name, "has grown since our last import: taken as it is"))
                del self.streams[name]
                continue
            self._mend_info(name, held)

    def _mend_info(self, name, held):
        path = self._path(name, records.INFO)
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as source:
                records.parse_info(source.read(), path)
        except (FileNotFoundError, records.BadInput):
            self.told.append((name, "its .info was not whole: written anew"))
            files.write(path, records.info_text(records.Info(*held["info"])))

    def _logged(self, names, known):
        """Those of `names` that the log holds; what a killed import left in it is cut off."""
        path = os.path.join(self.folder, LOG)
        size = max(_size(path), 0)
        if size > self.state["log"] and self._crashed and known:
            _cut(path, self.state["log"])
        elif size:
            # A last line that is not whole is a file that was not done.
            with open(path, "rb+") as log:
                log.seek(max(0, size - 4096))
                rest = log.read()
                whole = size - len(rest) + rest.rfind(b"\n") + 1
                if whole != size:
                    log.truncate(whole)
        self.state["log"] = max(_size(path), 0)
        if not self.state["log"]:
            return set()
        wanted = {os.fsencode(name) + b"\n" for name in names}
        with open(path, "rb") as log:
            return {os.fsdecode(line[:-1]) for line in wanted.intersection(log)}

    def _read_faults(self, names):
        """{name: stamp} of files in the tree that had faults, and of strays; the last line of a name counts."""
        path = store.hidden(self.folder, _FAULTS)
        found, lines = {}, 0
        _cut(path, self.state["faults"])
        self.state["faults"] = max(_size(path), 0)
        if self.state["faults"]:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as source:
                for line in source:
                    lines += 1
                    size, mtime, name = line.rstrip("\n").split("\t", 2)
                    found[name] = (int(size), int(mtime))
        found = {name: stamp for name, stamp in found.items() if stamp[0] >= 0 and (name in names or "/" in name)}
        if lines > 2 * len(found) + 1000:
            text = "".join(_noted(name, stamp) for name, stamp in found.items())
            files.write(path, text)
            self.state["faults"] = len(os.fsencode(text))
        return found

    def _path(self, name, suffix):
        return os.path.join(self.folder, name + suffix)

    def committed(self, name, dtype, suffix=records.BIN):
        """The committed items of a stream's file, as store.open_stream gives them; what there is of a damaged one."""
        count = self.counts(name)[suffix != records.BIN]
        if not count:
            return np.zeros(0, dtype)
        if suffix == records.BIN:
            return np.memmap(self._path(name, suffix), dtype, mode="r", shape=(count,))
        return np.fromfile(self._path(name, suffix), dtype, count)

    def counts(self, name):
        """(records, entries) that a stream has, as far as they are there."""
        held = self.streams[name]
        return self.damaged.get(name, (held["records"], held["entries"]))

    # --- what is added ----------------------------------------------------------------------

    def begin(self, name, info, rate, site, running=None, counts=(0, 0), there=False):
        """Add a stream, empty, or as the original importer left it (there)."""
        ends = sums.Running() if running is None else running
        self.streams[name] = {
            "records": counts[0],
            "entries": counts[1],
            "info": list(info),
            "rate": rate,
            "site": site,
            "running": list(ends),
        }
        if not there:
            self._fresh[name] = True
            _write_at(store.hidden(self.folder, store.ASIDE, name + records.INFO), 0, records.info_text(info).encode())

    def append(self, name, made, index, ends):
        """Append records and index entries to a stream, after which it stands at `ends`."""
        held = self.streams[name]
        count, entries = self._ahead.get(name, (*self.counts(name), None))[:2]
        for suffix, at, items in ((records.BIN, count, made), (records.INDEX_BIN, entries, index)):
            path = self._path(name, suffix)
            if name in self._fresh:
                path = store.hidden(self.folder, store.ASIDE, name + suffix)
            _write_at(path, at * items.dtype.itemsize, items)
        held["running"] = list(ends)
        self._ahead[name] = (count + len(made), entries + len(index))

    def replace(self, name, prior, tail, ends):
        """Put records after the first prior.records of a stream, from the files that a Tail wrote, in a new file."""
        for suffix, count, dtype in tail.parts(prior):
            new = store.hidden(self.folder, store.ASIDE, name + suffix)
            with _named(new), open(new, "wb") as out:
                if count:
                    with open(self._path(name, suffix), "rb") as source:
                        _copy(source, out, count * dtype.itemsize)
                with open(new + _TAIL, "rb") as source:
                    shutil.copyfileobj(source, out, 1 << 20)
            os.unlink(new + _TAIL)
        self._fresh[name] = True
        self._ahead[name] = (prior.records + tail.records, prior.entries + tail.entries)
        self.streams[name]["running"] = list(ends)

    def tail(self, name, dtype):
        """A new Tail of a stream in the hidden folder."""
        return Tail(store.hidden(self.folder, store.ASIDE, name), dtype)

    def fault(self, name, stamp):
        """Note that a file, or a channel in it, could not be used; None for the stamp: that it now could."""
        if stamp is None:
            if name in self.faults or name in self._new_faults:
                self._new_faults[name] = (-1, -1)
        else:
            self._new_faults[name] = stamp

    def commit(self, lines=()):
        """Make all that was appended, replaced and noted count, and the lines stand in the log of files."""
        text = "".join(f"{line}\n" for line in lines)
        self.state["log"] += _write_at(os.path.join(self.folder, LOG), self.state["log"], os.fsencode(text))
        noted = "".join(_noted(name, stamp) for name, stamp in self._new_faults.items())
        path = store.hidden(self.folder, _FAULTS)
        self.state["faults"] += _write_at(path, self.state["faults"], os.fsencode(noted))
        self.faults.update(self._new_faults)
        self._new_faults = {}
        for name, (count, entries, *_) in self._ahead.items():
            self.streams[name].update(records=count, entries=entries)
            self.damaged.pop(name, None)
        self.state["pending"] = sorted(self._fresh)
        self._sync()
        self._put_state()
        self._ahead, self._fresh = {}, {}
        self._settle()

    def rollback(self):
        """Cut off what was appended since the last commit, so that a full disk gets its room back at once."""
        with contextlib.suppress(OSError, ValueError):
            state = store.load(self.folder)
            for name in [] if state["pending"] else os.listdir(store.hidden(self.folder, store.ASIDE)):
                os.unlink(store.hidden(self.folder, store.ASIDE, name))
            for name in self._ahead:
                held = state["streams"].get(name)
                if held and name not in state["pending"]:
                    _cut(self._path(name, records.BIN), held["records"] * records.record("int").itemsize)
                    _cut(self._path(name, records.INDEX_BIN), held["entries"] * records.INDEX.itemsize)
            _cut(os.path.join(self.folder, LOG), state["log"])

    def finish(self):
        """Commit what was noted of faults, if anything was."""
        if self._new_faults or self._ahead:
            self.commit()

    def close(self):
        """Note that nothing lies beyond what is committed."""
        os.unlink(store.hidden(self.folder, _RUNNING))

    def _put_state(self):
        path = store.hidden(self.folder, store.STATE)
        files.write(path, json.dumps(self.state, allow_nan=False, separators=(",", ":")))
        files.sync_folder(store.hidden(self.folder))

    def _settle(self):
        """Let the streams that wait in the hidden folder take their place."""
        if not self.state["pending"]:
            return
        for name in self.state["pending"]:
            for suffix in store.SUFFIXES:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(store.hidden(self.folder, store.ASIDE, name + suffix), self._path(name, suffix))
        files.sync_folder(self.folder)
        self.state["pending"] = []
        self._put_state()

    def _sync(self):
        """Wait until all that was written is on the disk, by one call for hundreds of files."""
        handle = os.open(store.hidden(self.folder), os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(handle):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), self.folder)
        except AttributeError:
            os.sync()
        finally:
            os.close(handle)


class Tail:
    """Records and index entries that may take the place of the end of a stream, in files beside it."""

    def __init__(self, path, dtype):
        self._path, self._dtype = path, dtype
        self.records = self.entries = 0
        for suffix in (records.BIN, records.INDEX_BIN):
            with _named(path), open(path + suffix + _TAIL, "wb"):
                pass

    def append(self, made, index):
        _write_at(self._path + records.BIN + _TAIL, self.records * self._dtype.itemsize, made)
        _write_at(self._path + records.INDEX_BIN + _TAIL, self.entries * records.INDEX.itemsize, index)
        self.records += len(made)
        self.entries += len(index)

    def read(self):
        """(records, index entries), the records as a memory map."""
        empty = np.zeros(0, self._dtype)
        made = np.memmap(self._path + records.BIN + _TAIL, self._dtype, mode="r") if self.records else empty
        return made, np.fromfile(self._path + records.INDEX_BIN + _TAIL, records.INDEX)

    def parts(self, prior):
        return ((records.BIN, prior.records, self._dtype), (records.INDEX_BIN, prior.entries, records.INDEX))

    def drop(self):
        for suffix in (records.BIN, records.INDEX_BIN):
            os.unlink(self._path + suffix + _TAIL)


def _noted(name, stamp):
    return f"{stamp[0]}\t{stamp[1]}\t{' '.join(name.splitlines())}\n"


@contextlib.contextmanager
def _named(path):
    """Give an error of the system the path that it does not name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), path) from None


def _write_at(path, offset, data):
    """Write bytes or an array at an offset of a file, made if need be; how many bytes."""
    view = memoryview(data if isinstance(data, bytes) else data.tobytes())
    if not view:
        if offset == 0 and not os.path.exists(path):
            open(path, "ab").close()
        return 0
    with _named(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            at = 0
            while at < len(view):
                at += os.pwrite(handle, view[at:], offset + at)
        finally:
            os.close(handle)
    return len(view)


def _copy(source, out, length):
    """Copy the first bytes of a file inside the kernel, which shares the blocks where the file system can."""
    at = 0
    while at < length:
        try:
            done = os.copy_file_range(source.fileno(), out.fileno(), min(_COPY, length - at))
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
                raise
            done = os.write(out.fileno(), os.read(source.fileno(), min(_COPY, length - at)))
        if not done:
            raise OSError(errno.EIO, "shorter than it was", source.name)
        at += done


def _size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1


def _cut(path, size):
    """Shorten a file to a size; never lengthen it, which would make records of zeros."""
    if _size(path) > size:
        os.truncate(path, size)
