"""The forms in which frame files are listed: FFLs, LAL caches, tables, folders, servers, lists of GWOSC.

An FFL (frame file list) line is `path gps_start duration 0 0`; columns 2-5 may be missing, and a line may name another
list.  A LAL cache line is `OBS DESCRIPTION START DURATION URL`.  A list that is JSON is GWOSC's
(https://gwosc.org/apidocs): that of /archive/links/DATASET/DETECTOR/START/END/json/, or of version 2 of its API,
.../strain-files.

A path may be a URL of a file elsewhere (see remote).  The server is asked for its size and time when a day first meets
it; from then on the day takes it as unchanged, unless asked to check.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TextIO
from urllib.parse import unquote, urljoin, urlsplit

from .. import files
from ..errors import BadInput, wording
from ..gps import Window
from . import datafind, remote
from .catalog import ABSENT, ON_TAPE, STATUSES, USED, Frame, Seen, as_held, judge, span_of_name, table

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# A path that holds spaces: everything before the trailing numbers.
_SPACED = re.compile(rf"(\S.*?)\s+({_NUMBER})\s+({_NUMBER})(?:\s+{_NUMBER}){{0,2}}\s*")
# A line as a frame file list is written by machines: path, start, duration and up to two more numbers.
_REGULAR = re.compile(
    r"^(?!#)(\S+)(?<!\.ffl)(?<!\.lcf)(?<!\.cache)[ \t]+(\d+(?:\.\d+)?)[ \t]+(?=[\d.]*[1-9])(\d+(?:\.\d+)?)"
    r"(?:[ \t]+\S+){0,2}$",
    re.M,
)
# How often a list that changes while it is read, or is empty, is read again, and after how many seconds.
_ATTEMPTS, _PAUSE = 5, 0.1
_NESTED = (".ffl", ".lcf", ".cache")


class Listing(NamedTuple):
    """The frames that overlap a window, in time order, and what was odd about the list, a line each."""

    frames: list[Frame]
    notes: list[str]


# What names frames: the path of a list, a folder or a frame file, a server, or an open list.
Source = str | os.PathLike[str] | TextIO


def list_frames(
    source: Source,
    window: Window | None = None,
    recall: bool = False,
    ask: bool = False,
    before: str | None = None,
) -> Listing:
    """The frames of a source that overlap a window of GPS seconds, and what became of each.

    source: the path of a frame file list, a LAL cache, a folder that is searched for .gwf files, one .gwf file, one
    HDF5 file of time series (.h5, .hdf5), or a table as list-frames --table writes it; a list of GWOSC; a GWDataFind
    server as datafind.find has it; the URL of a list; or an open list, whose relative paths are relative to the working
    folder.  window: None for all frames.  Each file is looked up on the disk, but those of a table, which were when it
    was written.  recall: files on tape are used.  ask: servers are asked for files at URLs, but for those of which the
    source, if it is a table, or the one at the path `before` tells what they are.  Raises BadInput if the source holds
    nothing that is a frame or if no server answers, OSError if it cannot be read.
    """
    found, notes = named(source, window)
    judged = bool(found) and all(frame.size >= 0 or frame.status == ABSENT or frame.mtime >= 0 for frame in found)
    if not ask:
        if judged:
            return Listing(sorted(found, key=lambda frame: frame.start), notes)
        return Listing(judge(found, recall), notes)
    elsewhere = [frame.path for frame in found if frame.is_remote]
    known = known_of([*(held(before) if before and elsewhere else ()), *(found if judged else ())])
    unknown = [path for path in elsewhere if path not in known]
    if judged and not unknown:
        return Listing(sorted(found, key=lambda frame: frame.start), notes)
    known.update(asked(unknown, notes))
    return Listing(judge(found, recall, known), notes)


def known_of(frames: Iterable[Frame]) -> dict[str, Seen]:
    """What is known of frames at URLs, for judge: of those that are there, as they were when the server was asked."""
    known = {}
    for frame in frames:
        if frame.is_remote and frame.status != ABSENT and (frame.size, frame.mtime) not in ((-1, -1), (-1, 0)):
            known[frame.path] = frame.size, frame.mtime, USED
    return known


def asked(urls: Iterable[str], notes: list[str]) -> dict[str, Seen]:
    """What servers tell now of files at URLs, for judge; see fetch.ask."""
    urls = list(urls)
    if not urls:
        return {}
    from . import fetch  # which takes longer to load than a list to read

    told = fetch.ask(urls, notes)
    return {url: (-1, -1, ABSENT) if facts is None else (facts.size, facts.mtime, USED) for url, facts in told.items()}


def named(source: Source, window: Window | None = None) -> Listing:
    """The frames that a source names and that overlap a window, not looked up on the disk; else as list_frames."""
    notes: list[str] = []
    found = list(_found(source, window, notes))
    if window is not None:
        first, last = window
        found = [frame for frame in found if frame.start < last and frame.start + frame.duration > first]
    return Listing(found, notes)


def _found(source: Source, window: Window | None, notes: list[str]) -> Iterable[Frame]:
    if not isinstance(source, (str, os.PathLike)):
        return _of_list(source.read(), "-", os.getcwd(), window, notes, ())
    source = os.fspath(source)
    if datafind.is_server(source):
        return _of_names(datafind.find(source, window, notes), window, notes)
    if remote.is_remote(source) and not remote.name_of(source).endswith(".gwf"):
        return _of_file(source, window, notes, ())
    if os.path.isdir(source):
        return _of_names(_of_folder(source), window, notes)
    if source.endswith((".gwf", ".h5", ".hdf5")) or remote.is_remote(source):
        span = span_of_name(source) or (None if remote.is_remote(source) else _span_in(source))
        if span is None:
            raise BadInput(f"the name tells no time, and no list gives it: {source!r}")
        return [Frame(_absolute(source, os.getcwd()), *span)]
    return _of_file(source, window, notes, ())


def _span_in(path):
    """(start, duration) that a file itself tells, as its name does not."""
    # Only now: a list of half a million frames needs no reader.
    from .. import gwf

    try:
        spans = gwf.open_file(path).frames
    except (gwf.BadFrame, OSError) as error:
        raise BadInput(f"its name tells no time, and it cannot be read, {wording(error)}: {path!r}") from None
    if not spans:
        raise BadInput(f"its name tells no time, and it has no frame: {path!r}")
    start = min(second + ns * 1e-9 for second, ns, _ in spans)
    return start, max(second + ns * 1e-9 + duration for second, ns, duration in spans) - start


def _of_names(paths, window, notes):
    """Frames whose names tell their spans."""
    for path in paths:
        span = span_of_name(path)
        if span is None:
            notes.append(f"the name tells no time, left out: {path!r}")
        elif window is None or window.overlaps(span[0], span[0] + span[1]):
            yield Frame(remote.checked(path) if remote.is_remote(path) else path, *span)


def _of_folder(folder):
    """Paths of the frame files below a folder; names that begin with a dot are left out: rsync writes to those."""
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".gwf") and not name.startswith("."):
                yield os.path.abspath(os.path.join(where, name))


def _raise(error):
    raise error


def _of_file(path, window, notes, above):
    """Frames that the list in a file names; `above` are the lists that led to it."""
    if remote.is_remote(path):
        from . import fetch

        if path in above:
            raise BadInput(f"a frame list names itself: {path!r}")
        # What a list at a URL names beside itself is there, too.
        folder = path.split("?", 1)[0].rpartition("/")[0]
        yield from _of_list(fetch.read_text(path), path, folder, window, notes, (*above, path))
        return
    real = os.path.realpath(path)
    if real in above:
        raise BadInput(f"a frame list names itself: {path!r}")
    text = _read_whole(path)
    if text.startswith(("IGWD", "\x89HDF")) or "\0" in text[:4096]:
        raise BadInput(f"not a list of frames: {path!r}")
    yield from _of_list(text, path, os.path.dirname(os.path.abspath(path)), window, notes, (*above, real))


def _of_list(
    text: str, source: str, base: str, window: Window | None, notes: list[str], above: tuple[str, ...]
) -> Iterator[Frame]:
    """Frames that the text of a list names, and those of other lists that it names.

    source: what the list is called in messages; base: what its relative paths are relative to.
    """
    text = text.removeprefix("\ufeff")
    first, last = window or (float("-inf"), float("inf"))
    if text.lstrip()[:1] in ("{", "["):
        yield from _of_gwosc(text, source, window, notes)
        return
    regular = _REGULAR.findall(text)
    if len(regular) == text.count("\n") + (not text.endswith("\n")):
        # Half a million lines a list, of which a day needs a thousand.
        for path, begin, length in regular:
            start, duration = float(begin), float(length)
            if start < last and start + duration > first:
                yield Frame(_absolute(path, base), start, duration)
        return
    frames = 0
    for at, line in enumerate(text.splitlines(), 1):
        part = line.split()
        entry = _plain_line(part)
        if entry is None:
            if not part or part[0].startswith("#"):
                continue
            if line.count("\t") == 5 and part[-1] in STATUSES:
                frames += 1
                yield _of_table(line)
                continue
            if line.strip().endswith(_NESTED) or part[0].endswith(_NESTED):
                frames += 1
                inner = line.strip() if line.strip().endswith(_NESTED) else part[0]
                yield from _of_file(
                    inner if remote.is_remote(inner) else os.path.join(base, inner), window, notes, above
                )
                continue
            entry = _odd_line(line, part)
            if entry is None:
                notes.append(f"line {at} of {source!r} is no frame: {line.strip()!r}")
                continue
        elif entry[1] + entry[2] <= first or entry[1] >= last:
            frames += 1
            continue
        path, start, duration = entry
        if not duration > 0 or start != start:
            notes.append(f"line {at} of {source!r} has no span: {line.strip()!r}")
            continue
        frames += 1
        if start + duration > first and start < last:
            yield Frame(_absolute(path, base), start, duration)
    if not frames and text.strip():
        raise BadInput(f"no line is a frame in list: {source!r}")


def _of_gwosc(text, source, window, notes):
    """Frames of a list of GWOSC, whose entries of other formats are left out.

    /archive/links/DATASET/DETECTOR/START/END/json/ gives {"strain": [{"GPSstart", "duration", "detector",
    "sampling_rate", "format", "url"}, ...]}, as the project's own client reads it (gwosc.locate.get_run_urls), and
    version 2 {"results": [{"gps_start", "detector", "gwf_url"}, ...], "next"}, a page of what may be several.  A list
    of URLs alone is one, too.
    """
    import json  # a list of this kind is rare

    try:
        held = json.loads(text)
    except ValueError as error:
        raise BadInput(f"not a list of frames: {source!r}: {error}") from None
    entries = held.get("strain", held.get("results")) if isinstance(held, dict) else held
    if not isinstance(entries, list):
        raise BadInput(f"no list of GWOSC, want 'strain' or 'results' in it: {source!r}")
    if isinstance(held, dict) and held.get("next"):
        notes.append(f"a page of several, the others are not listed: {source!r}")
    frames = 0
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {"gwf_url": entry}
        url = entry.get("gwf_url") or (entry.get("url") if entry.get("format") == "gwf" else None)
        if url is None:
            continue
        start, duration = (entry.get(name) for name in ("GPSstart", "duration"))
        span = span_of_name(url) if isinstance(url, str) and remote.is_remote(url) else None
        if isinstance(url, str) and all(isinstance(each, (int, float)) for each in (start, duration)):
            span = float(start), float(duration)
        if span is None or not span[1] > 0:
            notes.append(f"an entry of {source!r} is no frame: {str(url)!r}")
            continue
        frames += 1
        if window is None or window.overlaps(span[0], span[0] + span[1]):
            yield Frame(_absolute(url, os.getcwd()), *span)
    if not frames:
        raise BadInput(f"no entry is a frame in list: {source!r}")


def _read_whole(path):
    """The text of a list as it was at one moment: at the source, lists are rewritten every few seconds."""
    for _ in range(_ATTEMPTS):
        before = os.stat(path)
        text = files.read_text(path, newline="")
        after = os.stat(path)
        if text and (before.st_ino, before.st_size, before.st_mtime_ns) == (
            after.st_ino,
            after.st_size,
            after.st_mtime_ns,
        ):
            return text
        if not after.st_size:
            time.sleep(_PAUSE)
    if text:
        raise BadInput(f"the frame list changes while it is read: {path!r}")
    return text


def _of_table(line):
    path, start, duration, size, mtime, status = line.split("\t")
    return Frame(path, float(start), float(duration), int(size), int(mtime), status)


def _plain_line(part):
    """(path, start, duration) of the white-spaced columns of a line as FFLs have it; None if it is otherwise."""
    try:
        start, duration = float(part[1]), float(part[2])
    except (IndexError, ValueError):
        return None
    if len(part) > 5 or part[0][0] == "#" or part[0].endswith(_NESTED):
        return None
    return part[0], start, duration


def _odd_line(line, part):
    """(path, start, duration) of a LAL cache line, a line with missing columns or a path with spaces; or None."""
    if len(part) == 5 and re.fullmatch(_NUMBER, part[2]) and re.fullmatch(_NUMBER, part[3]):
        return part[4], float(part[2]), float(part[3])
    match = _SPACED.fullmatch(line)
    if match:
        return match[1], float(match[2]), float(match[3])
    # Columns missing: the name tells.  A start alone must agree with it, or neither can be trusted.
    for path in (line.strip(), part[0]):
        span = span_of_name(path)
        if span and (path != part[0] or len(part) == 1 or _same(part[1], span[0])):
            return path, *span
    return None


def _same(text, value):
    try:
        return float(text) == value
    except ValueError:
        return False


def _absolute(path, base):
    if "://" in path or path.startswith("file:"):
        if remote.is_remote(path):
            return remote.checked(path)
        url = urlsplit(path)
        if url.scheme != "file" or url.netloc not in ("", "localhost"):
            raise BadInput(f"neither a local frame file nor https:// or osdf://: {path!r}")
        path = unquote(url.path)
    if path[:1] == "/" and "/." not in path and "//" not in path:
        return path  # the usual case, of which a long list has half a million
    if remote.is_remote(base):
        return urljoin(f"{base}/", path)
    return os.path.normpath(os.path.join(base, path))


def held(path: str) -> list[Frame]:
    """The frames of a table that was written before; none if there is no such table."""
    try:
        return named(path).frames
    except (OSError, BadInput):
        return []


def update(path: str, text: str, listing: Sequence[Frame]) -> bool:
    """Write the lines of a listing to a file, if that has others; whether it did.

    Where files went to tape since, and nothing else is new, the file keeps its time: what was made from it is as good.
    """
    before = held(path) if any(frame.status == ON_TAPE for frame in listing) else []
    only_tape = bool(before) and table(as_held(listing, before)) == table(before)
    seen = os.stat(path) if only_tape else None
    changed = files.write_if_changed(path, text, durable=False)
    if changed and seen:
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return changed
