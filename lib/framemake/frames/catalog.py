"""Frame files as they are listed: what is known of each, which of them are used, and what each covers of a window.

Names follow LIGO-T010150: OBS-DESCRIPTION-GPSSTART-DURATION.gwf, or .h5.  In what forms they are listed is a matter of
lists.
"""

import contextlib
import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput
from ..gps import Window
from . import remote

if TYPE_CHECKING:
    from . import cache

USED = "used"
ABSENT = "absent"
DUPLICATE = "duplicate"
COVERED = "covered"
# Of a day that was made before: the file is gone, or is no longer what it was, and its samples are kept.
KEPT = "kept"
# The file is there by name alone, and what is in it is on tape: to read it would have it brought back.
ON_TAPE = "tape"
STATUSES = (USED, ABSENT, DUPLICATE, COVERED, KEPT, ON_TAPE)
# Of such a file nothing is read; what is said of it.
NOT_THERE = {ABSENT: "absent", ON_TAPE: "on tape"}

_NAME = re.compile(r"[^-/]+-.+-(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)\.(?:gwf|h5|hdf5)")
# A file of no blocks that is no larger than this may be one that a file system keeps beside its name (btrfs up to the
# size of a page, which is at most 64 kiB; ext4 and ZFS less); a larger one has blocks, unless its content is elsewhere.
_INLINE = 1 << 16
# What is looked up of a file: size, time and status.
Seen = tuple[int, int, str]


class Frame(NamedTuple):
    """One frame file: its span in GPS seconds, size in bytes, modification time in ns, and what became of it.

    path: a path of this machine, or a URL.  size, mtime: -1 for a file that is absent or was not looked up; -1, 0 for
    one at a URL that was not asked for.
    """

    path: str
    start: float
    duration: float
    size: int = -1
    mtime: int = -1
    status: str = USED

    @property
    def end(self) -> float:
        return self.start + self.duration

    @property
    def is_remote(self) -> bool:
        return remote.is_remote(self.path)


def number(value: float) -> str:
    """A GPS time or duration as text: a whole number without a point, else what reads back the same."""
    return f"{value:.0f}" if value == int(value) else repr(float(value))


def span_of_name(path: str) -> tuple[float, float] | None:
    """(start, duration) in GPS seconds that a file name tells, or None if it is not a LIGO-T010150 name."""
    match = _NAME.fullmatch(remote.name_of(path) if remote.is_remote(path) else os.path.basename(path))
    return (float(match[1]), float(match[2])) if match else None


def judge(found: Sequence[Frame], recall: bool = False, known: Mapping[str, Seen] | None = None) -> list[Frame]:
    """Look each file up on the disk and decide which are used: the first in time order keeps its samples.

    Of files with the same start one is used: one that is there before an absent, empty or unknown one, then the longer,
    then one of this machine, then the newer, then the first by name; the others are duplicates.  A file is `covered` if
    files that start earlier cover its whole span.  Duplicates and covered files are read only in place of a file that
    cannot be read.  What becomes of a frame is the same whether its day is listed alone or in a longer span.
    recall: files on tape are as others; else ON_TAPE.  known: of files at URLs, which are not looked up here.
    """
    known = known or {}
    if all(before.start < after.start for before, after in itertools.pairwise(found)):
        looked = [_on_disk(frame, recall, known) for frame in found]
    else:
        distinct = {frame[:3]: frame for frame in found}
        looked = sorted((_on_disk(frame, recall, known) for frame in distinct.values()), key=_preference)
    judged: list[Frame] = []
    reach, last = float("-inf"), None
    for frame in looked:
        _, start, duration, _, _, status = frame
        if start == last:
            if status not in NOT_THERE:
                frame = frame._replace(status=DUPLICATE)
        else:
            last = start
            if status == USED:
                if start + duration <= reach:
                    frame = frame._replace(status=COVERED)
                reach = max(reach, start + duration)
        judged.append(frame)
    return judged


def _on_disk(frame, recall, known):
    """The frame with the size and time that its file has now."""
    path, start, duration = frame[:3]
    if remote.is_remote(path):
        return Frame(path, start, duration, *known.get(path, (-1, 0, USED)))
    try:
        seen = os.stat(path)
    except OSError:
        return Frame(path, start, duration, -1, -1, ABSENT)
    on_tape = seen.st_blocks == 0 and seen.st_size > _INLINE and not recall
    return Frame(path, start, duration, seen.st_size, seen.st_mtime_ns, ON_TAPE if on_tape else USED)


def _preference(frame):
    if frame.status in NOT_THERE:
        rank = 2
    elif frame.is_remote and frame.size < 0:
        rank = 1  # it may be there
    else:
        rank = 0 if frame.size > 0 else 2
    return frame.start, rank, -frame.duration, frame.is_remote, -frame.mtime, frame.path


def has_changed(frame: Frame) -> bool:
    """Whether the file of a frame is no longer what it was, or is not there; of one at a URL that is not asked."""
    if frame.is_remote:
        return False
    now = _on_disk(frame, True, {})
    return (now.size, now.mtime) != (frame.size, frame.mtime)


def as_held(listing: Sequence[Frame], held: Iterable[Frame]) -> list[Frame]:
    """A listing in which files that went to tape since are what they were before, as nothing in them has changed."""
    before = {frame[:5]: frame for frame in held}
    return [before.get(frame[:5], frame) if frame.status == ON_TAPE else frame for frame in listing]


def wanted(frame: Frame) -> "cache.Wanted":
    """What a cache of files elsewhere is asked for, to have the file of a frame."""
    from . import cache

    return cache.Wanted(frame.path, frame.size, frame.mtime)


@contextlib.contextmanager
def local(frame: Frame) -> Iterator[str]:
    """A path of this machine at which the file of a frame can be read while the block runs.

    One at a URL is fetched into the cache that the environment names.  Raises OSError if it cannot be had.
    """
    if frame.is_remote:
        from . import cache

        with cache.Cache.of_environment().holding(wanted(frame)) as path:
            yield path
    else:
        yield frame.path


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
    """Whether a file is a slot: it is used, or it is kept or not there and no other file starts where it does."""
    if frame.status == USED:
        return True
    before = index > 0 and frames[index - 1].start == frame.start
    return frame.status in (KEPT, *NOT_THERE) and not before


def with_kept(listing: Sequence[Frame], before: Sequence[Frame]) -> list[Frame]:
    """A listing with files of which samples are kept, in its order; one that is listed and not there stands once.

    before: Frames of an earlier day that gave it samples.  Those that are not in the listing as they were are kept.
    """
    same = {identity(frame) for frame in listing}
    kept = [frame._replace(status=KEPT) for frame in before if identity(frame) not in same]
    paths = {frame.path for frame in kept}
    rest = [frame for frame in listing if not (frame.status in NOT_THERE and frame.path in paths)]
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
    what += [f"{frame.path!r} ({NOT_THERE[frame.status]})" for frame in frames if frame.status in NOT_THERE]
    more = f" and {len(what) - 5} more" if len(what) > 5 else ""
    return f"no frame can be read: {', '.join(what[:5]) or 'none is listed'}{more}"
