"""Frames that need not be kept: which may go, their removal, and the days that cannot be made again since.

A frame may go when everything that was to be made from it has been, and has been checked.  The folder of each day that
it was a part of lists it then, in .pruned.tsv, with the size and time that it had; such a day is closed while a
frame of its list is not there: it counts as it is, and is not made again, as what is gone would become NaN.  With all
of them back it is a day like any other.
"""

import contextlib
import datetime
import glob
import os
import stat
from typing import NamedTuple

from .. import files, gps
from ..day.folder import COMPLETED, MISSING, Folder
from ..errors import BadInput
from ..frames import catalog

# Why a frame is kept: what is to be made from it is not; that is, but is not right; it is no frame that was used as it
# is; or a keeper knows nothing of it.
UNFINISHED, WRONG, ODD, STRANGE = range(4)
# So many streams are kept open, each with a file.
_OPEN = 400


class Kept(NamedTuple):
    """Why a frame is kept: UNFINISHED, WRONG, ODD or STRANGE, and words."""

    kind: int
    why: str


def _table(path):
    return catalog.named(path).frames


# --- pruning ------------------------------------------------------------------------------


def prune(root, keepers, keep, remove, today=None, progress=lambda done, total: None):
    """Remove the frame files below a folder that nothing needs any more; yields (path, None or why it is Kept).

    keepers: Days and Streams.  Those that a file concerns must let it go; to one of them alone it may be STRANGE.
    keep: so many days before `today` (a date in UTC, by default the clock's) are left alone without a word.
    remove: without it nothing is removed or written.
    """
    if not os.path.isdir(root):
        raise BadInput(f"no such folder: {root!r}")
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    if keep >= (today - datetime.date(1980, 1, 6)).days:
        raise BadInput(f"there were not so many days of GPS time yet: {keep}")
    end = gps.day_window(str(today - datetime.timedelta(days=keep))).start
    found = (frame for frame in catalog.named(root).frames if frame.end <= end)
    found = (frame for frame in found if any(keeper.concerns(frame) for keeper in keepers))
    old = sorted(found, key=lambda frame: frame.start)
    done = 0
    for days, group in _by_days(old):
        with contextlib.ExitStack() as held:
            blocked = next(filter(None, [keeper.hold(days, held, remove) for keeper in keepers]), None)
            group = [_seen(frame) for frame in group]
            judged = [(frame, blocked or _why(frame, days, keepers)) for frame in group]
            if remove:
                going = [frame for frame, why in judged if not why]
                for keeper in keepers if going else ():
                    keeper.note(going, days)
            for frame, why in judged:
                # The check of a day can take minutes.
                if not why and _seen(frame) != frame:
                    why = Kept(ODD, "has changed meanwhile")
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
            yield _dates(*last), group
            group = []
        last = days
        group.append(frame)
    if group:
        yield _dates(*last), group


def _dates(first, last):
    first, last = (datetime.date.fromisoformat(day) for day in (first, last))
    return [str(first + datetime.timedelta(days=at)) for at in range((last - first).days + 1)]


def _seen(frame):
    """A frame with the size and time of its file; ABSENT if there is no file of its own."""
    try:
        seen = os.lstat(frame.path)
    except FileNotFoundError:
        seen = None
    if not seen or not stat.S_ISREG(seen.st_mode):
        return frame._replace(status=catalog.ABSENT)
    return frame._replace(size=seen.st_size, mtime=seen.st_mtime_ns)


def _why(frame, days, keepers):
    if frame.status == catalog.ABSENT:
        return Kept(ODD, "a link, or no file")
    if "\n" in frame.path or "\t" in frame.path:
        return Kept(ODD, "a path with a tab or line end")
    whys = []
    for keeper in keepers:
        if keeper.concerns(frame):
            whys.append(keeper.why(frame, days))
            if whys[-1] and whys[-1].kind != STRANGE:
                return whys[-1]
    return None if None in whys else whys[0]


class Days:
    """The day files of an output folder, of one spec: a frame may go when each of its days has it, and is right.

    most: compare so many channels of a day with its frames, as check-day does; None: all.
    """

    def __init__(self, out, spec, most=None):
        if not os.path.isdir(out):
            raise BadInput(f"no such folder: {out!r}")
        self.out, self.spec, self.most = out, spec, most
        self._known, self._places, self._others = {}, {}, {}
        there = glob.glob(os.path.join(glob.escape(out), f"{glob.escape(spec)}-????-??-??"))
        self._first = min((path[-10:] for path in there), default="")

    def folder(self, day):
        return Folder.of(self.out, self.spec, day)

    def concerns(self, frame):
        """Whether a frame may be a part of a day: any may."""
        return True

    def hold(self, days, held, remove):
        """Hold the locks of days, until `held` is left; Kept if another has one."""
        # Files come in order of time: earlier days, with their hundreds of frames, are not asked for again.
        for known in (self._known, self._others):
            for day in [day for day in known if day < days[0]]:
                del known[day]
        for day in days:
            folder = self.folder(day)
            if not os.path.exists(folder.lock):
                continue
            taken = held.enter_context(files.locked(folder.lock, wait=False)) is None if remove else folder.is_held()
            if taken:
                return Kept(UNFINISHED, f"{day} is being built")
        return None

    def why(self, frame, days):
        """Why a frame, with its size and time, is Kept by one of its days; None if it may go."""
        why = next(filter(None, (self._day(day).why for day in days)), None)
        if why:
            return why
        if not any(self._place(frame.path) in self._day(day).frames for day in days):
            return Kept(STRANGE, f"{days[0]} was not made from it")
        why = next(filter(None, (self._part(frame, day) for day in days)), None)
        if why:
            return why
        # Last, as it takes long, and once a day.
        return next(filter(None, (self._check(self._day(day)) for day in days)), None)

    def _part(self, frame, day):
        """Why a frame is not known to be in a day file; None if it is, as it is."""
        found = self._day(day).frames.get(self._place(frame.path))
        if found is None or found.status == catalog.ABSENT:
            return Kept(ODD, f"{day} was not made from it")
        if found[1:5] != frame[1:5]:
            return Kept(ODD, f"has changed since {day} was made from it")
        if found.path in self._day(day).bad:
            return Kept(ODD, f"could not be read for {day}")
        if frame.path in self._of_others(day) or found.path in self._of_others(day):
            return Kept(ODD, f"another folder of {day} was made from it as well")
        return None

    def _day(self, day):
        """What is known of a day, looked at again when its day file is another."""
        h5 = self.folder(day).h5
        try:
            seen = os.stat(h5)
            stamp = seen.st_ino, seen.st_size, seen.st_mtime_ns
        except OSError:
            stamp = None
        if day not in self._known or self._known[day].stamp != stamp:
            self._known[day] = self._look(day, h5, stamp)
        return self._known[day]

    def _look(self, day, h5, stamp):
        from ..day import summary

        _, said = self.folder(day).standing(ours=True)
        if said != COMPLETED or stamp is None:
            said = "not there" if said in (None, MISSING) else said
            # What is before the first day was never asked for, and nothing will change that.
            kind = ODD if day < self._first else UNFINISHED
            return _Day(stamp, Kept(kind, f"{day} is {'gone' if said == COMPLETED else said}"))
        try:
            made = summary.Day(h5)
        except BadInput as error:
            return _Day(stamp, Kept(WRONG, str(error)))
        if made.window != gps.day_window(day):
            return _Day(stamp, Kept(UNFINISHED, f"only a part of {day} was built"))
        waiting = made.inputs.get("transient")
        if waiting:
            return _Day(stamp, Kept(UNFINISHED, f"{day} waits for a frame that could not be had: {waiting[0]!r}"))
        listed = {self._place(frame.path): frame for frame in made.frames}
        return _Day(stamp, None, h5, listed, {path for path, *_ in made.inputs["bad"]}, [])

    def _check(self, known):
        """Why a day is not right, by a second reader; None if it is."""
        if not known.checked:
            from ..day import check

            check.quiet()
            said = f"differs from its frames, check-day tells where: {known.h5!r}"
            try:
                wrong = list(check.structure(known.h5)) or list(check.values(known.h5, self.most))
            except (OSError, KeyError, ValueError) as error:
                wrong, said = True, f"cannot be checked, {' '.join(str(error).split())[:120]}: {known.h5!r}"
            known.checked.append(Kept(WRONG, said) if wrong else None)
        return known.checked[0]

    def _of_others(self, day):
        """Paths of the frames that the day folders of other specs in the same output folder were made from."""
        if day not in self._others:
            mine, found = self.folder(day).path, set()
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

    def note(self, going, days):
        """Put frames that are about to go in the lists of their days, which must outlive them."""
        for day in days:
            path = self.folder(day).pruned
            listed = {frame.path: frame for frame in (_table(path) if os.path.exists(path) else ())}
            mine = self._day(day).frames or {}
            mine = [mine[place] for place in (self._place(frame.path) for frame in going) if place in mine]
            if mine:
                listed.update((frame.path, frame) for frame in mine)
                files.write(path, catalog.table(listed.values()))
                files.sync_folder(self.folder(day).path)


class _Day(NamedTuple):
    """A day: the stamp of its day file; why it lets nothing go; frames by place, paths of bad ones, [why not right]."""

    stamp: tuple | None
    why: Kept | None
    h5: str | None = None
    frames: dict | None = None
    bad: set | None = None
    checked: list | None = None


class Streams:
    """A folder of streams: a frame may go when the import has done with it, and each of its streams has its span.

    root: the tree of frames; what is not where the import looks for it is nothing of the streams.  A frame that
    comes later can be put in its place only while those after it are there.
    """

    def __init__(self, folder, root):
        from ..streams import store
        from ..streams.intake import tree

        if not os.path.isdir(folder):
            raise BadInput(f"no such folder: {folder!r}")
        self.folder, self._streams, root = folder, {}, os.path.abspath(root)
        self._paths = {file.path for site in tree.SITES for file in tree.files(root, site)[0]}
        self._state = store.load(folder)
        self._done, self._faulty = self._read()

    def concerns(self, frame):
        """Whether a frame is where the import looks for it."""
        return frame.path in self._paths

    def hold(self, days, held, remove):
        """Hold the lock of the importer, until `held` is left; Kept if an import is at work."""
        from ..streams import store

        lock = store.hidden(self.folder, "lock")
        if not remove or not os.path.exists(lock):
            return None
        if held.enter_context(files.locked(lock, wait=False)) is None:
            return Kept(UNFINISHED, "an import of the streams is at work")
        if store.load(self.folder) != self._state:
            self._state, self._streams = store.load(self.folder), {}
            self._done, self._faulty = self._read()
        return None

    def _read(self):
        """(names that the log holds, names of files that something was wrong with), as far as they are committed."""
        from ..streams import store
        from ..streams.intake import writing

        log, faulty = os.path.join(self.folder, writing.LOG), {}
        done = set(_head(log, self._state and self._state["log"]))
        for line in _head(store.hidden(self.folder, "faults"), self._state and self._state["faults"]):
            size, _, name = line.split("\t", 2)
            faulty[name] = int(size) >= 0
        return done, {name for name, still in faulty.items() if still}

    def why(self, frame, days):
        """Why a frame is Kept; None if it may go."""
        from .. import gwf
        from ..streams.intake import samples

        name = os.path.basename(frame.path)
        if name in self._faulty:
            return Kept(ODD, "could not be used for the streams")
        if name not in self._done:
            return Kept(UNFINISHED, "not in the streams")
        try:
            held = samples.streams_of(frame.path)
        except (gwf.BadFrame, OSError):
            return Kept(ODD, "cannot be read any more")
        missing = sorted(stream for stream in held if not self._has(stream, frame.start, frame.end))
        return Kept(WRONG, f"its span is not in {len(missing)} streams: {missing[0]!r}") if missing else None

    def _has(self, name, start, end):
        """Whether a stream has a record in a span."""
        import bisect

        from ..streams import store

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

    def note(self, going, days):
        """Nothing: the log of the streams holds it."""


def _head(path, size):
    """The whole lines of the first `size` bytes of a file, all of it for None; none if it is not there."""
    try:
        with open(path, "rb") as source:
            raw = source.read() if size is None else source.read(size)
    except FileNotFoundError:
        return []
    return os.fsdecode(raw).split("\n")[:-1]
