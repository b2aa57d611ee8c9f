"""The days of an output folder as the keeper of the frames that they were made from.

A day lists the frames of it that are removed in its .pruned.tsv, with the size and time that they had, and is closed as
long as one of them is not there: see Folder.gone.
"""

import contextlib
import glob
import os
from typing import Any, NamedTuple

from .. import files, gps
from ..day import check, dayfile
from ..day.folder import COMPLETED, MISSING, Folder
from ..errors import BadInput
from ..frames import catalog, lists
from .retention import Kept, Reason


class DayKeeper:
    """The days of one spec: a frame may go when each day that it is a part of has it, and is right.

    most: compare so many channels of a day with its frames, as check-day does; None: all.
    Raises BadInput if there is no such folder.
    """

    def __init__(self, out: str, spec: str, most: int | None = None):
        if not os.path.isdir(out):
            raise BadInput(f"no such folder: {out!r}")
        self.out, self.spec, self.most = out, spec, most
        # By day: what is known of it, and paths of the frames that other specs made from it; by folder: its real path.
        self._known: dict[str, _Known] = {}
        self._others: dict[str, set[str]] = {}
        self._places: dict[str, str] = {}
        there = glob.glob(os.path.join(glob.escape(out), f"{glob.escape(spec)}-????-??-??"))
        self._first = min((path[-10:] for path in there), default="")

    def _folder(self, day):
        return Folder.of(self.out, self.spec, day)

    def concerns(self, frame: catalog.Frame) -> bool:
        """Whether a frame may be a part of a day: any may."""
        return True

    def hold(self, days: list[str], held: contextlib.ExitStack, remove: bool) -> Kept | None:
        """Hold the locks of days until `held` is left; Kept if one of them is being built."""
        # Files come in order of time: earlier days, with their hundreds of frames, are not asked for again.
        for known in (self._known, self._others):
            for day in [day for day in known if day < days[0]]:
                del known[day]
        for day in days:
            folder = self._folder(day)
            if not os.path.exists(folder.lock):
                continue
            taken = held.enter_context(files.locked(folder.lock, wait=False)) is None if remove else folder.is_held()
            if taken:
                return Kept(Reason.UNFINISHED, f"{day} is being built")
        return None

    def objection(self, frame: catalog.Frame, days: list[str]) -> Kept | None:
        """Why a frame, with its size and time, is Kept by one of its days; None if it may go."""
        why = next(filter(None, (self._day(day).why for day in days)), None)
        if why:
            return why
        if not any(self._place(frame.path) in self._day(day).frames for day in days):
            return Kept(Reason.UNKNOWN, f"{days[0]} was not made from it")
        why = next(filter(None, (self._part(frame, day) for day in days)), None)
        if why:
            return why
        # Last, as it takes long, and once a day.
        return next(filter(None, (self._check(self._day(day)) for day in days)), None)

    def _part(self, frame, day):
        """Why a frame is not known to be in a day file; None if it is, as it is."""
        found = self._day(day).frames.get(self._place(frame.path))
        if found is None or found.status in catalog.NOT_THERE:
            return Kept(Reason.NOT_USED, f"{day} was not made from it")
        if found[1:5] != frame[1:5]:
            return Kept(Reason.NOT_USED, f"has changed since {day} was made from it")
        if catalog.judge([found])[0].status == catalog.ON_TAPE:
            return Kept(Reason.NOT_USED, "is on tape, where it takes no room and nothing compares it")
        if found.path in self._day(day).bad:
            return Kept(Reason.NOT_USED, f"could not be read for {day}")
        if frame.path in self._of_others(day) or found.path in self._of_others(day):
            return Kept(Reason.NOT_USED, f"another folder of {day} was made from it as well")
        return None

    def _day(self, day):
        """What is known of a day, looked at again when its day file is another."""
        h5 = self._folder(day).h5
        try:
            seen = os.stat(h5)
            stamp = seen.st_ino, seen.st_size, seen.st_mtime_ns
        except OSError:
            stamp = None
        if day not in self._known or self._known[day].stamp != stamp:
            self._known[day] = self._found(day, h5, stamp)
        return self._known[day]

    def _found(self, day, h5, stamp):
        """What is known of a day now: whether it is done, and what it was made from."""
        _, said = self._folder(day).standing(ours=True)
        if said != COMPLETED or stamp is None:
            said = "not there" if said in (None, MISSING) else said
            # What is before the first day was never asked for, and nothing will change that.
            reason = Reason.NOT_USED if day < self._first else Reason.UNFINISHED
            return _Known(stamp, Kept(reason, f"{day} is {'gone' if said == COMPLETED else said}"))
        try:
            with dayfile.open_day(h5) as opened:
                made = opened.provenance
        except BadInput as error:
            return _Known(stamp, Kept(Reason.WRONG, str(error)))
        if made.window != gps.day_window(day):
            return _Known(stamp, Kept(Reason.UNFINISHED, f"only a part of {day} was built"))
        waiting = sorted(made.account.transient)
        if waiting:
            return _Known(
                stamp, Kept(Reason.UNFINISHED, f"{day} waits for a frame that could not be had: {waiting[0]!r}")
            )
        listed = {self._place(frame.path): frame for frame in made.frames if frame.status != catalog.KEPT}
        return _Known(stamp, None, h5, listed, {path for path, _ in made.account.bad}, [])

    def _check(self, known):
        """Why a day is not right, by a second reader; None if it is."""
        if not known.checked:
            said = f"differs from its frames, check-day tells where: {known.h5!r}"
            skipped: list[str] = []
            note = lambda name, samples: skipped.append(name)  # noqa: E731
            try:
                wrong: Any = list(check.structure(known.h5))
                wrong = wrong or list(check.differences(known.h5, self.most, skipped=note))
                if skipped and not wrong:
                    wrong, said = True, f"gwpy does not read channel {skipped[0]!r}, so it is not checked: {known.h5!r}"
            except BadInput as error:  # which names the file
                wrong, said = True, str(error)
            except dayfile.FAULTS as error:
                wrong, said = True, f"cannot be checked, {' '.join(str(error).split())[:120]}: {known.h5!r}"
            known.checked.append(Kept(Reason.WRONG, said) if wrong else None)
        return known.checked[0]

    def _of_others(self, day):
        """Paths of the frames that the day folders of other specs in the same output folder were made from."""
        if day not in self._others:
            mine, found = self._folder(day).path, set()
            for days in Folder.all_in(self.out).values():
                other = days.get(day)
                if other and os.path.exists(other.frames) and not os.path.samefile(other.path, mine):
                    found.update(frame.path for frame in _table(other.frames))
            self._others[day] = found
        return self._others[day]

    def _place(self, path):
        """A path without links in its folder, as a list and a tree may come to the same file by other ways."""
        folder, name = os.path.split(path)
        if folder not in self._places:
            self._places[folder] = os.path.realpath(folder)
        return self._places[folder], name

    def note_removal(self, frames: list[catalog.Frame], days: list[str]) -> None:
        """Put frames that are about to go in the lists of their days, which must outlive them."""
        for day in days:
            path = self._folder(day).pruned
            listed = {frame.path: frame for frame in (_table(path) if os.path.exists(path) else ())}
            mine = self._day(day).frames or {}
            mine = [mine[place] for place in (self._place(frame.path) for frame in frames) if place in mine]
            if mine:
                listed.update((frame.path, frame) for frame in mine)
                files.write(path, catalog.table(listed.values()))
                files.sync_folder(self._folder(day).path)


class _Known(NamedTuple):
    """What is known of a day.

    stamp: of its day file, to see that it is another.  why: why it releases no frame at all.  frames: its frames by
    the place of their files.  bad: paths of those that could not be read.  checked: empty until its samples have been
    compared, then [why they are not right, or None].
    """

    stamp: tuple | None
    why: Kept | None
    h5: str | None = None
    frames: dict | None = None
    bad: set | None = None
    checked: list | None = None


def _table(path):
    return lists.named(path).frames
