"""Frames that need not be kept: which may go, and their removal.

A frame may go when everything that was to be made from it has been made, and has been checked.  What is made from
frames has a keeper, which answers for it: kept_days, kept_streams.
"""

import contextlib
import datetime
import enum
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from .. import gps
from ..errors import BadInput
from ..frames import catalog, lists


class Reason(enum.Enum):
    """Why a frame is kept."""

    UNFINISHED = "what is to be made from it is not finished"
    WRONG = "what was made from it is not what it should be"
    NOT_USED = "it is not a frame that was used as it is now, and nothing will change that"
    UNKNOWN = "the keeper knows nothing of it"


class Kept(NamedTuple):
    """A frame is kept: the Reason, and words for people."""

    reason: Reason
    words: str


class Keeper(Protocol):
    """Answers for what is made from frames.

    days are always the UTC days 'YYYY-MM-DD' that the frames in question overlap, in their order.
    """

    def concerns(self, frame: catalog.Frame) -> bool:
        """Whether the frame is one that this keeper is to be asked about."""

    def hold(self, days: list[str], held: contextlib.ExitStack, remove: bool) -> Kept | None:
        """Keep others from changing what was made of these days until `held` is left; Kept if others are at work.

        remove: without it nothing will be removed, so a look is enough.
        """

    def objection(self, frame: catalog.Frame, days: list[str]) -> Kept | None:
        """Why a frame, with the size and time that it has now, must stay; None if it may go."""

    def note_removal(self, frames: list[catalog.Frame], days: list[str]) -> None:
        """Write down, before they go, what must be known of frames that are about to be removed."""


def prune(
    root: str,
    keepers: Sequence[Keeper],
    keep_days: int,
    remove: bool,
    today: datetime.date | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Iterator[tuple[str, Kept | None]]:
    """Remove the frame files below a folder that nothing needs any more; yields (path, None or why it is Kept).

    keepers: every one that a file concerns must release it; one that does not know the file is ignored if another
    releases it.
    keep_days: so many full days before `today` (a date in UTC, by default the clock's) are left alone without a word.
    remove: without it nothing is removed or written.
    Raises BadInput if there is no such folder, or there were not so many days since GPS time began.
    """
    if not os.path.isdir(root):
        raise BadInput(f"no such folder: {root!r}")
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    if keep_days >= (today - datetime.date(1980, 1, 6)).days:
        raise BadInput(f"there were not so many days of GPS time yet: {keep_days}")
    end = gps.day_window(str(today - datetime.timedelta(days=keep_days))).start
    found = (frame for frame in lists.named(root).frames if frame.end <= end)
    found = (frame for frame in found if any(keeper.concerns(frame) for keeper in keepers))
    old = sorted(found, key=lambda frame: frame.start)
    done = 0
    for days, group in _by_days(old):
        with contextlib.ExitStack() as held:
            blocked = next(filter(None, [keeper.hold(days, held, remove) for keeper in keepers]), None)
            group = [_seen(frame) for frame in group]
            judged = [(frame, blocked or _objection(frame, days, keepers)) for frame in group]
            if remove:
                going = [frame for frame, why in judged if not why]
                for keeper in keepers if going else ():
                    keeper.note_removal(going, days)
            for frame, why in judged:
                # The check of a day can take minutes.
                if not why and _seen(frame) != frame:
                    why = Kept(Reason.NOT_USED, "has changed meanwhile")
                if remove and not why:
                    os.unlink(frame.path)
                yield frame.path, why
            done += len(group)
            progress(done, len(old))


def _by_days(found):
    """(the UTC days that they overlap, Frames) of Frames in order of their start."""
    group, last = [], None
    for frame in found:
        days = gps.day_of(frame.start), gps.day_of(max(frame.start, frame.end - 1e-6))
        if days != last and group:
            yield gps.dates(*last), group
            group = []
        last = days
        group.append(frame)
    if group:
        yield gps.dates(*last), group


def _seen(frame):
    """A frame with the size and time of its file; ABSENT if there is no file of its own."""
    try:
        seen = os.lstat(frame.path)
    except FileNotFoundError:
        seen = None
    if not seen or not stat.S_ISREG(seen.st_mode):
        return frame._replace(status=catalog.ABSENT)
    return frame._replace(size=seen.st_size, mtime=seen.st_mtime_ns)


def _objection(frame, days, keepers):
    """Why a frame is Kept by the keepers that it concerns, of which there is at least one; None if it may go."""
    if frame.status == catalog.ABSENT:
        return Kept(Reason.NOT_USED, "a link, or no file")
    if "\n" in frame.path or "\t" in frame.path:
        return Kept(Reason.NOT_USED, "a path with a tab or line end")
    unknown = []
    for keeper in keepers:
        if keeper.concerns(frame):
            why = keeper.objection(frame, days)
            if why and why.reason is not Reason.UNKNOWN:
                return why
            unknown.append(why)
    return None if None in unknown else unknown[0]
