"""A folder of streams as its readers see it: what is committed, and nothing else, at any moment of an import.

The importer appends to the files of a stream first and commits afterwards, by putting a new state file in the
place of the old one: a reader does not see what lies beyond the committed lengths.  Streams that are new, or
whose end was written again, stand whole in a hidden folder, are committed as `pending`, and only then take the
place of the old files; a reader looks for them in both places.  So the state names one set of files, wherever the
importer is or was killed.  A reader opens the files again if the state has changed while it opened them.
A folder, or a stream, that the state does not know is the original importer's: there the files count as they are.
"""

import json
import os
import time
from typing import IO, NamedTuple, TypedDict

import numpy as np

from .. import files
from ..errors import BadInput, wording
from . import records

HIDDEN, STATE, ASIDE = ".framemake", "state.json", "new"
SUFFIXES = (records.BIN, records.INDEX_BIN, records.INFO)
_VERSION = 1
_ATTEMPTS, _PAUSE = 200, 0.02


class Stream(NamedTuple):
    """One stream as it is committed.

    rate: raw samples a second, R; records: shape (records,), of records.record; index: shape (entries,), of
    records.INDEX.  Both are read-only, and the records are Mapped.
    """

    name: str
    info: records.Info
    rate: float
    records: np.ndarray
    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index


class StreamEntry(TypedDict):
    """What the state says of a stream: how many records and index entries count, and what the importer goes on with.

    info: as records.Info; running: as intake.sums.Running.
    """

    records: int
    entries: int
    info: list
    rate: float
    site: str
    running: list


class State(TypedDict):
    """What was committed last.

    pending: names of the streams that wait in the hidden folder to take their place; log, faults, stamps: committed
    bytes of the log of files, of the list of faulty files, and of the list of what files were when they were read;
    tree: the path of the tree of frames, '' if it was not noted; streams: by name.
    """

    version: int
    pending: list[str]
    log: int
    faults: int
    stamps: int
    tree: str
    streams: dict[str, StreamEntry]


def hidden(folder: str, *names: str) -> str:
    """A path in the hidden folder of a folder of streams."""
    return os.path.join(folder, HIDDEN, *names)


def load(folder: str) -> State | None:
    """The State of a folder; None if nothing was ever committed.  BadInput if it is damaged, or of another version."""
    state, handle = _hold(folder)
    if handle:
        handle.close()
    return state


def empty() -> State:
    """The State of a folder before its first import."""
    return {"version": _VERSION, "pending": [], "log": 0, "faults": 0, "stamps": 0, "tree": "", "streams": {}}


def _hold(folder: str) -> tuple[State | None, IO[str] | None]:
    """(the State, the open file that it came from), or (None, None)."""
    path = hidden(folder, STATE)
    try:
        source = files.opened(path, encoding="utf-8")
    except FileNotFoundError:
        return None, None
    try:
        with files.named(path):
            state = json.load(source)
    except ValueError:
        source.close()
        raise BadInput(f"damaged state of the streams: {path!r}") from None
    # A state that was written before these were noted.
    state.setdefault("stamps", 0)
    state.setdefault("tree", "")
    if state.get("version") != _VERSION:
        source.close()
        raise BadInput(f"state of the streams of another version: {path!r}")
    return state, source


def names(folder: str) -> list[str]:
    """The names of all streams of a folder, sorted; BadInput if it is no folder."""
    state = load(folder) or empty()
    return sorted({*state["streams"], *visible(folder)})


def visible(folder: str) -> list[str]:
    """The names of the streams that have a .bin file in the folder itself; BadInput if it is no folder."""
    try:
        entries = os.listdir(folder)
    except OSError as error:
        raise BadInput(f"{wording(error)}: {folder!r}") from None
    found = [name for name in entries if name.endswith(records.BIN) and not name.startswith(".")]
    return [name[: -len(records.BIN)] for name in found if not name.endswith(records.INDEX_BIN)]


def open_stream(folder: str, name: str) -> Stream:
    """The Stream of a name, consistent whatever an importer does meanwhile; BadInput if unknown or torn."""
    stream: Stream | None
    problem: Exception | None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        state, held = _hold(folder)
        try:
            try:
                stream, problem = _open(folder, name, state or empty()), None
            except (BadInput, FileNotFoundError) as error:
                stream, problem = None, error
            # What was opened belongs together if no commit lay between.
            if _is_last(folder, held):
                break
        finally:
            if held:
                held.close()
    else:
        raise BadInput(f"the streams change faster than they can be opened: {folder!r}")
    if isinstance(problem, FileNotFoundError):
        raise BadInput(f"no such stream: {os.path.join(folder, name)!r}")
    if problem:
        raise problem
    assert stream is not None
    return stream


def open_held(folder: str, name: str, state: State) -> Stream:
    """The same of the State that a folder has, while its lock keeps others from another; BadInput as of open_stream."""
    try:
        held = state["streams"].get(name)
        # What the .info file says the state has as well, and it is at hand.
        return _open(folder, name, state, records.Info(*held["info"]) if held else None)
    except FileNotFoundError:
        raise BadInput(f"no such stream: {os.path.join(folder, name)!r}") from None


def open_at(path: str) -> Stream:
    """The Stream of a path STREAMS/NAME, with or without .bin; BadInput as of open_stream."""
    folder, name = os.path.split(path.rstrip(os.sep))
    return open_stream(folder or ".", name.removesuffix(records.BIN))


def _path_of(folder, name, suffix, state):
    """The path of a file of a stream: in the hidden folder while it waits to take its place."""
    path = os.path.join(folder, name + suffix)
    if name in state["pending"]:
        waiting = hidden(folder, ASIDE, name + suffix)
        if os.path.exists(waiting):
            return waiting
    return path


def _open(folder, name, state, info=None):
    """The Stream of a name, by a State; info: what its .info file says, None for what is to be read there."""
    if not name or "/" in name or "\0" in name:
        raise BadInput(f"no such stream: {name!r}")
    held = state["streams"].get(name)
    if info is None:
        with _following(folder, name, records.INFO, state) as source:
            text = source.read().decode("utf-8", "surrogateescape")
        info = records.parse_info(text, os.path.join(folder, name + records.INFO))
    kept = _array(folder, name, records.BIN, records.record(info.datatype), state, held and held["records"])
    index = _array(folder, name, records.INDEX_BIN, records.INDEX, state, held and held["entries"])
    return Stream(name, info, held["rate"] if held else records.table_rate(name) or 1, kept, index)


def _array(folder, name, suffix, dtype, state, count):
    """The committed items of a file: a memory map of .bin, a copy of the short .index.bin."""
    with _following(folder, name, suffix, state) as file, files.named(file.name):
        size = os.fstat(file.fileno()).st_size
        if size % dtype.itemsize if count is None else size < count * dtype.itemsize:
            raise BadInput(f"torn, {size} bytes: {os.path.join(folder, name + suffix)!r}")
        count = size // dtype.itemsize if count is None else count
        if suffix == records.BIN and count:
            return records.Mapped(file, dtype, mode="r", shape=(count,))
        array = np.fromfile(file, dtype, count)
        array.setflags(write=False)
        return array


def _following(folder, name, suffix, state):
    """Open a file of a stream that may take its place at this moment."""
    try:
        return files.opened(_path_of(folder, name, suffix, state), "rb")
    except FileNotFoundError:
        return files.opened(_path_of(folder, name, suffix, state), "rb")


def _is_last(folder, held):
    """Whether the state that an open file holds is still the last; while it is open no other gets its inode."""
    try:
        now = os.stat(hidden(folder, STATE))
        return held is not None and os.path.samestat(os.fstat(held.fileno()), now)
    except FileNotFoundError:
        return held is None
