"""Which frame files there are: FFLs, LAL caches, folders, servers and file names; spans, duplicates, overlaps.

Names follow LIGO-T010150: OBS-DESCRIPTION-GPSSTART-DURATION.gwf, or .h5.  An FFL (frame file list) line is
`path gps_start duration 0 0`; columns 2-5 may be missing, and a line may name another list.  A LAL cache
line is `OBS DESCRIPTION START DURATION URL`.
"""

import itertools
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TextIO
from urllib.parse import unquote, urlsplit

from .. import files
from ..errors import BadInput, wording
from ..gps import Window
from . import datafind

USED = "used"
ABSENT = "absent"
DUPLICATE = "duplicate"
COVERED = "covered"
# Of a day that was made before: the file is gone, or is no longer what it was, and its samples are kept.
KEPT = "kept"
STATUSES = (USED, ABSENT, DUPLICATE, COVERED, KEPT)

_NAME = re.compile(r"[^-/]+-.+-(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)\.(?:gwf|h5|hdf5)")
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


class Frame(NamedTuple):
    """One frame file: its span in GPS seconds, size in bytes, modification time in ns, and what became of it."""

    path: str
    start: float
    duration: float
    size: int = -1
    mtime: int = -1
    status: str = USED

    @property
    def end(self) -> float:
        return self.start + self.duration


class Listing(NamedTuple):
    """The frames that overlap a window, in time order, and what was odd about the list, a line each."""

    frames: list[Frame]
    notes: list[str]


# What names frames: the path of a list, a folder or a frame file, a server, or an open list.
Source = str | os.PathLike[str] | TextIO


def number(value: float) -> str:
    """A GPS time or duration as text: a whole number without a point, else what reads back the same."""
    return f"{value:.0f}" if value == int(value) else repr(float(value))


def span_of_name(path: str) -> tuple[float, float] | None:
    """(start, duration) in GPS seconds that a file name tells, or None if it is not a LIGO-T010150 name."""
    match = _NAME.fullmatch(os.path.basename(path))
    return (float(match[1]), float(match[2])) if match else None


def list_frames(source: Source, window: Window | None = None) -> Listing:
    """The frames of a source that overlap a window of GPS seconds, and what became of each.

    source: the path of a frame file list, a LAL cache, a folder that is searched for .gwf files, one .gwf file, one
    HDF5 file of time series (.h5, .hdf5), or a table as list-frames --table writes it; a GWDataFind server as
    datafind.find has it; or an open list, whose relative paths are relative to the working folder.  window: None for
    all frames.  Each file is looked up on the disk, but those of a table, which were when it was written.  Raises
    BadInput if the source holds nothing that is a frame, OSError if it cannot be read.
    """
    found, notes = named(source, window)
    if found and all(frame.size >= 0 or frame.status == ABSENT for frame in found):
        return Listing(sorted(found, key=lambda frame: frame.start), notes)  # a table: judged before
    return Listing(judge(found), notes)


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
    if os.path.isdir(source):
        return _of_names(_of_folder(source), window, notes)
    if source.endswith((".gwf", ".h5", ".hdf5")):
        return [Frame(os.path.abspath(source), *(span_of_name(source) or _span_in(source)))]
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
            yield Frame(path, *span)


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
                yield from _of_file(os.path.join(base, inner), window, notes, above)
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
        url = urlsplit(path)
        if url.scheme != "file" or url.netloc not in ("", "localhost"):
            raise BadInput(f"only local frame files can be read: {path!r}")
        path = unquote(url.path)
    if path[:1] == "/" and "/." not in path and "//" not in path:
        return path  # the usual case, of which a long list has half a million
    return os.path.normpath(os.path.join(base, path))


def judge(found: Sequence[Frame]) -> list[Frame]:
    """Look each file up on the disk and decide which are used: the first in time order keeps its samples.

    Of files with the same start one is used: one that is there before an absent or empty one, then the longer,
    then the newer, then the first by name; the others are duplicates.  A file is `covered` if files that start
    earlier cover its whole span.  Duplicates and covered files are read only in place of a file that cannot be
    read.  What becomes of a frame is the same whether its day is listed alone or in a longer span.
    """
    if all(before.start < after.start for before, after in itertools.pairwise(found)):
        looked = [_on_disk(frame) for frame in found]
    else:
        distinct = {frame[:3]: frame for frame in found}
        looked = sorted(map(_on_disk, distinct.values()), key=_preference)
    judged: list[Frame] = []
    reach, last = float("-inf"), None
    for frame in looked:
        _, start, duration, _, _, status = frame
        if start == last:
            if status != ABSENT:
                frame = frame._replace(status=DUPLICATE)
        else:
            last = start
            if status == USED:
                if start + duration <= reach:
                    frame = frame._replace(status=COVERED)
                reach = max(reach, start + duration)
        judged.append(frame)
    return judged


def _on_disk(frame):
    """The frame with the size and time that its file has now."""
    path, start, duration = frame[:3]
    try:
        seen = os.stat(path)
    except OSError:
        return Frame(path, start, duration, -1, -1, ABSENT)
    return Frame(path, start, duration, seen.st_size, seen.st_mtime_ns, USED)


def _preference(frame):
    return frame.start, frame.size <= 0, -frame.duration, -frame.mtime, frame.path


def slots(frames: Sequence[Frame], window: Window) -> list[tuple[float, float, int | None]]:
    """The frame-file slots of a window: [(start, end, index of the frame or None)], in time order.

    A slot is a listed file, or a piece of a stretch that no listed file covers: as many pieces of the
    most common frame length as fill the stretch, at least one.  Duplicates and covered files are no slots.
    """
    listed = [(f.start, f.end, i) for i, f in enumerate(frames) if is_slot(f, frames, i)]
    if not listed:
        return [(window.start, window.end, None)]
    lengths: dict[float, int] = {}
    for start, end, _ in listed:
        lengths[end - start] = lengths.get(end - start, 0) + 1
    usual = max(lengths, key=lambda length: (lengths[length], length))
    filled: list[tuple[float, float, int | None]] = []
    reach: float = window.start
    for start, end, index in [*sorted(listed), (window.end, window.end, None)]:
        if start > reach:
            pieces = max(1, math.ceil((start - reach) / usual - 1e-6))
            step = (start - reach) / pieces
            filled += [(reach + k * step, reach + (k + 1) * step, None) for k in range(pieces)]
        if index is not None:
            filled.append((start, end, index))
        reach = max(reach, end)
    return filled


def is_slot(frame: Frame, frames: Sequence[Frame], index: int) -> bool:
    """Whether a file counts as a slot: it is used, or it is kept or absent and no other file starts where it does."""
    if frame.status == USED:
        return True
    before = index > 0 and frames[index - 1].start == frame.start
    return frame.status in (KEPT, ABSENT) and not before


def with_kept(listing: Sequence[Frame], before: Sequence[Frame]) -> list[Frame]:
    """A listing with files of which samples are kept, in its order; one that is listed as absent stands once.

    before: Frames of an earlier day that gave it samples.  Those that are not in the listing as they were are kept.
    """
    same = {identity(frame) for frame in listing}
    kept = [frame._replace(status=KEPT) for frame in before if identity(frame) not in same]
    paths = {frame.path for frame in kept}
    rest = [frame for frame in listing if not (frame.status == ABSENT and frame.path in paths)]
    rank = {USED: 0, KEPT: 1}
    return sorted(rest + kept, key=lambda frame: (frame.start, rank.get(frame.status, 2)))


def identity(frame: Frame) -> Frame:
    """What a file is, whether it is used or kept: equal for files that hold the same."""
    return frame._replace(status=USED) if frame.status == KEPT else frame


def _check_path(path):
    if "\t" in path or len(path.splitlines()) != 1:
        raise BadInput(f"a path with a tab or line end cannot stand in a list: {path!r}")


def table_line(frame: Frame) -> str:
    """The line of a frame in a table: path, start, duration, size, mtime in ns, status; tab-separated."""
    _check_path(frame.path)
    span = f"{number(frame.start)}\t{number(frame.duration)}"
    return f"{frame.path}\t{span}\t{frame.size}\t{frame.mtime}\t{frame.status}"


def table(listing: Iterable[Frame]) -> str:
    """The lines of all frames of a listing, as list-frames --table prints them."""
    return "".join(table_line(frame) + "\n" for frame in listing)


def ffl_line(frame: Frame) -> str:
    """The line of a frame in an FFL."""
    _check_path(frame.path)
    return f"{frame.path} {number(frame.start)} {number(frame.duration)} 0 0"


def none_readable(frames: Iterable[Frame], reasons: Mapping[str, str]) -> str:
    """The words for frames of which none can be read; reasons: by path, of those that are there."""
    frames = list(frames)
    what = [f"{frame.path!r} ({reasons[frame.path]})" for frame in frames if frame.path in reasons]
    what += [f"{frame.path!r} (absent)" for frame in frames if frame.status == ABSENT]
    more = f" and {len(what) - 5} more" if len(what) > 5 else ""
    return f"no frame can be read: {', '.join(what[:5]) or 'none is listed'}{more}"
