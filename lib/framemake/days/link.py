"""One HDF5 file for a range of days: every channel is a virtual dataset over the day files.

/channels/<name> has all samples of the range, 1-D, on the channel's one grid, NaN where no linked day has any; its
attributes, and those of the file, are as in a day file.  No sample is copied: HDF5 reads them out of the day files
(virtual datasets, HDF5 1.10 and later).  /provenance/links (JSON) says which day files are linked, with their relative
path, and their size and mtime at that time; which days are not linked, and why; and what was odd.

What follows from that, measured with HDF5 2.0:
- A day file's path is relative to the folder of this file, with links in this file's own path followed.  So this file
  and the days can be moved together.  HDF5 looks first in $HDF5_VDS_PREFIX (or the access property of that name), if
  the reader sets it, and last, if it finds nothing, in the reader's working directory: do not read from a folder that
  has a day folder of the same name.
- gwpy 4 opens a path that it is given as a Python file object, with which HDF5 can follow no path to another file:
  the read ends in an error.  Given the opened file it reads: TimeSeries.read(h5py.File(path), name, format="hdf5").
- A day file that is gone, or cannot be opened, reads as NaN without a word.  That includes those beyond the limit of
  open files: a read of the whole range opens all its day files at once, and a process may usually open 1,024.  A day
  file that is damaged, no longer has the channel, or has fewer samples is an error of the read.
- A day that is built again is seen as it is then.  If its dtype has changed, HDF5 converts to the dtype of this file:
  from float64 to float32 that rounds.  If its sample rate, grid or window has changed, its samples are at wrong times:
  link again, which takes seconds.  Size and mtime in /provenance/links show which days have been built again.
"""

import collections
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import h5py
import numpy as np

from .. import gps
from ..day import layout
from ..day.dayfile import FAULTS, DayFile
from ..day.folder import COMPLETED, STATUSES
from ..day.provenance import Dataset
from ..errors import BadInput
from ..frames import catalog
from ..version import version
from . import plan, status
from .onegrid import ChannelForm, Line, by_grid

LINKS = "links"
# Day files that a reader can open at the usual limit of 1,024, and the few that it has open anyway.
MOST_OPEN = 1000


class LinkedDay(NamedTuple):
    """A day file: its day, path, size in bytes, mtime in ns, the GPS window that it holds, and its increment in s."""

    day: str
    path: str
    size: int
    mtime: int
    window: gps.Window
    increment: int


class LinkedSamples(NamedTuple):
    """The first `used` of the `held` samples of a channel in a day file: samples `first` and on of the range.

    day: the number of the day file among those that are linked.
    """

    day: int
    first: int
    used: int
    held: int


class LinkedChannel(NamedTuple):
    """A channel over the range.

    rate in Hz; units: all that there are, the most frequent first; t0: GPS time of sample 0; total: samples of the
    range; days: in order of time.
    """

    channel: str
    rate: float
    dtype: str
    units: list[str]
    t0: float
    total: int
    days: list[LinkedSamples]

    @property
    def unit(self) -> str:
        return self.units[0]


def link(
    out: str,
    path: str,
    first: str | None = None,
    last: str | None = None,
    spec: str | None = None,
    split: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    channel_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Write the file `path` that links the completed days of the folder `out`; returns what was odd, a line each.

    first, last: days, both included; without them, the first and the last that there is.  spec: which of several
    in `out`.  split: a channel whose rate, dtype or grid changes is written as one series for each, not left
    out.  progress, channel_progress: called with how many of all day files were read, and how many of all channels
    written.  Raises BadInput if there is nothing to link, or a day file is missing, damaged, or no day file.
    """
    days = status.days_of(out, spec, first, last)
    specs = sorted({day.spec for day in days})
    if len(specs) > 1:
        raise BadInput(f"several SPECs, --spec says which ({', '.join(specs)}): {out!r}")
    if len(days) == 1:
        # Read through a Python file object such a virtual dataset would be its own source, which HDF5 follows until it
        # crashes.
        raise BadInput(f"one day needs no link, its day file is the series: {(days[0].h5 or days[0].date)!r}")
    if os.path.isdir(path):
        raise BadInput(f"is a folder, want a file to write: {path!r}")
    done = [day for day in days if day.status == COMPLETED]
    if not done:
        raise BadInput(f"no completed day from {days[0].date} to {days[-1].date} in folder: {out!r}")
    if os.path.realpath(path) in {os.path.realpath(day.h5) for day in done if day.h5}:
        raise BadInput(f"is a day file, and would be lost: {path!r}")
    odd = _left_out(days)
    if len(done) > MOST_OPEN:
        odd.append(
            f"who reads it opens {len(done)} files at once: without 'ulimit -n {len(done) + 100}' it may see NaN"
        )
    range_ = gps.Window(gps.day_window(days[0].date).start, gps.day_window(days[-1].date).end)
    contents = _Contents()
    for number, day in enumerate(done):
        progress(number, len(done))
        contents.add(day)
    progress(len(done), len(done))
    made, changes, unit_changes = _arrange(contents, range_, split)
    odd += [*changes.values(), *unit_changes.values()]
    if not made:
        raise BadInput("; ".join([f"no channel to link in {out!r}", *odd[:3]]))
    links = {
        "version": version(),
        "ffl_spec": specs[0],
        "window": list(range_),
        "days": _records(contents.days, out, path),
        "not_linked": {day.date: day.status for day in days if day.status != COMPLETED},
        "changes": changes,
        "unit_changes": unit_changes,
    }
    _write(path, contents.days, range_, made, links, channel_progress)
    return odd


def _left_out(days):
    """A line for each status of days that are not linked."""
    lines = []
    for what in STATUSES:
        dates = [day.date for day in days if day.status == what]
        if dates and what != COMPLETED:
            lines.append(f"left out as {what}, NaN: {plan.runs(dates)}")
    return lines


class _Contents:
    """What all day files have.

    Names and forms are kept once, as there are many days: a row for each day has the number of the form of each
    channel, -1 where the day does not have the channel.
    """

    def __init__(self):
        self.days: list[LinkedDay] = []
        self.names: dict[str, int] = {}
        self._forms: dict[ChannelForm, int] = {}
        self._rows: list[np.ndarray] = []

    def add(self, day: status.DayStatus) -> None:
        """Take in a day file; BadInput if it is none, or not what it says."""
        if day.h5 is None:
            raise BadInput(f"day file is gone: {day.date!r}")
        # Before it is read, so that one which is replaced meanwhile is seen to have changed.
        seen = os.stat(day.h5)
        window, increment, forms = _read(day.h5)
        whole = gps.day_window(day.date)
        if not whole.start <= window.start < window.end <= whole.end:
            raise BadInput(f"day file holds GPS {window.start} to {window.end}, not of {day.date}: {day.h5!r}")
        self.days.append(LinkedDay(day.date, day.h5, seen.st_size, seen.st_mtime_ns, window, increment))
        row = np.full(len(self.names) + len(forms), -1, dtype=np.int32)
        for name, form in forms.items():
            row[self.names.setdefault(name, len(self.names))] = self._forms.setdefault(form, len(self._forms))
        self._rows.append(row[: len(self.names)].copy())

    def channels(self) -> Iterator[tuple[str, list[tuple[int, ChannelForm]]]]:
        """(name, [(number of the day, form)]) of each channel, by name."""
        table = np.full((len(self._rows), len(self.names)), -1, dtype=np.int32)
        for number, row in enumerate(self._rows):
            table[number, : len(row)] = row
        forms = list(self._forms)
        for name, at in sorted(self.names.items()):
            yield name, [(number, forms[form]) for number, form in enumerate(table[:, at].tolist()) if form >= 0]


def _read(h5):
    """(window, increment, {channel: ChannelForm}) of a day file, whose datasets are what its provenance says."""
    try:
        with DayFile(h5) as day:
            inputs = day.peek("window", "increment", "datasets")
            window, increment = gps.Window(*inputs["window"]), int(inputs["increment"])
            datasets = {name: Dataset(*dataset) for name, dataset in inputs["datasets"].items()}
            forms = {
                name: ChannelForm(float(rate), dtype, total, round(t0 - window.start, 6), unit)
                for name, (rate, dtype, total, t0, unit) in datasets.items()
            }
            same = day.holds_exactly(datasets)
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        raise BadInput(f"day file cannot be read as HDF5: {h5!r}: {reason}") from None
    except FAULTS:
        raise BadInput(f"not a day file of this project: {h5!r}") from None
    if not same:
        raise BadInput(f"day file holds other channels or samples than it says: {h5!r}")
    return window, increment, forms


def _arrange(contents, range_, split):
    """({name: LinkedChannel}, {channel: line on how it changes}, {name: line on how its unit changes})."""
    made, changes, unit_changes = {}, {}, {}
    at = lambda member: (member[1], contents.days[member[0]].window.start)  # noqa: E731
    for channel, members in contents.channels():
        found = [_linked(channel, group, contents.days, range_) for group in by_grid(members, at)]
        if len(found) == 1:
            names = [channel]
        else:
            names = _split_names(found, range_)
            what = ", ".join(f"{_described(each, range_)} ({_count(each.days)})" for each in found)
            changes[channel] = f"changes, {'split' if split else 'left out'}: {channel!r}: {what}"
            if not split:
                continue
        for name, linked in zip(names, found, strict=True):
            if name in made or (name != channel and name in contents.names):
                raise BadInput(f"two channels would have one name: {name!r}")
            made[name] = linked
            if len(linked.units) > 1:
                units = ", ".join(map(repr, linked.units))
                unit_changes[name] = f"unit changes, kept {linked.unit!r} of {units}: {name!r}"
    return made, changes, unit_changes


def _linked(channel, members, days, range_):
    """The LinkedChannel of days on one grid; it begins with the grid's first time in the range."""
    number, like = members[0]
    line = Line(like.rate, days[number].window.start + like.offset)
    origin = line.first_at(range_.start)
    linked, reached = [], 0
    for number, form in members:
        first = line.number_of(days[number].window.start + form.offset) - origin
        if first < reached:
            # The last of round(duration * rate) samples can have the time of the next day's first; that one is kept.
            if first < reached - 1:
                raise BadInput(f"samples of {channel!r} overlap those of the day before: {days[number].path!r}")
            linked[-1] = linked[-1]._replace(used=linked[-1].used - 1)
        linked.append(LinkedSamples(number, first, form.total, form.total))
        reached = first + form.total
    total = max(reached, line.first_at(range_.end) - origin)
    counts = collections.Counter(form.unit for _, form in members)
    units = sorted(counts, key=lambda unit: (-counts[unit], unit))
    return LinkedChannel(channel, like.rate, like.dtype, units, line.time_of(origin), total, linked)


def _split_names(found, range_):
    """NAME@RATE-DTYPE of each; where several would have one name, the shift of the grid in samples is added."""
    plain = [f"{linked.channel}@{catalog.number(linked.rate)}-{linked.dtype}" for linked in found]
    return [
        name if plain.count(name) == 1 else f"{name}+{_shift(linked, range_):g}"
        for name, linked in zip(plain, found, strict=True)
    ]


def _shift(linked, range_):
    return round((linked.t0 - range_.start) * linked.rate, 6)


def _described(linked, range_):
    shift = _shift(linked, range_)
    return f"{linked.dtype} at {linked.rate:g} Hz" + (f" shifted by {shift:g} samples" if shift else "")


def _count(days):
    return f"{len(days)} day" + ("" if len(days) == 1 else "s")


def _records(days, out, path):
    """What /provenance/links says of each day file: day, path as it is linked, size in bytes, mtime in ns, window."""
    base = _relative(out, path)
    return [
        {
            "day": day.day,
            "path": os.path.normpath(os.path.join(base, os.path.relpath(day.path, out))),
            "size_bytes": day.size,
            "mtime_ns": day.mtime,
            "window": list(day.window),
        }
        for day in days
    ]


def _relative(out, path):
    """The relative path from the folder of `path` to `out`, symbolic links in `out` kept or followed.

    Of the two the one with fewer '..' is taken: the more both files can be moved without breaking it.
    """
    folder = os.path.dirname(os.path.realpath(path))
    ways = [os.path.relpath(way, folder) for way in (os.path.abspath(out), os.path.realpath(out))]
    # With links kept it can lead elsewhere, where '..' follows a link.
    there = os.path.join(folder, ways[0])
    good = ways if os.path.exists(there) and os.path.samefile(there, out) else ways[1:]
    return min(good, key=lambda way: way.split(os.sep).count(os.pardir))


def _write(path, days, range_, made, links, progress):
    paths = [os.fsencode(day["path"]) for day in links["days"]]
    increments = collections.Counter(day.increment for day in days)
    with layout.writing(path) as file:
        group = file.create_group(layout.CHANNELS)
        for number, (name, linked) in enumerate(made.items()):
            progress(number, len(made))
            dataset = h5py.Dataset(_create(group.id, name, linked, paths))
            dataset.attrs["channel"] = linked.channel
            dataset.attrs["sample_rate"] = linked.rate
            dataset.attrs["unit"] = linked.unit
            dataset.attrs["t0"] = linked.t0
            dataset.attrs["xunit"] = layout.AXIS_UNIT
        progress(len(made), len(made))
        file.create_group(layout.PROVENANCE)[LINKS] = np.bytes_(json.dumps(links).encode())
        now = gps.now_utc()
        file.attrs["start_dt"] = gps.zoned(range_.start)
        file.attrs["end_dt"] = gps.zoned(range_.end)
        file.attrs["created_utc"] = now
        file.attrs["increment_size"] = increments.most_common(1)[0][0]
        file.attrs["dama_name"] = os.path.splitext(os.path.basename(path))[0]
        file.attrs["time_stamp"] = now


def _create(group, name, linked, paths):
    """A virtual dataset, through h5py's low-level objects: VirtualLayout takes ten times as long."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_fill_value(np.array(np.nan, dtype=linked.dtype))
    made.set_obj_track_times(False)
    there = _escaped(f"/{layout.CHANNELS}/{linked.channel}".encode())
    space = h5py.h5s.create_simple((linked.total,))
    # Whole day files first.  Through a Python file object (see the head) HDF5 takes this file for the first day file:
    # if that is linked whole the read is an error, but in part HDF5 follows it until it crashes.
    for day in sorted(linked.days, key=lambda day: day.used < day.held):
        space.select_hyperslab((day.first,), (1,), None, (day.used,))
        source = h5py.h5s.create_simple((day.held,))
        if day.used < day.held:
            source.select_hyperslab((0,), (1,), None, (day.used,))
        made.set_virtual(space, _escaped(paths[day.day]), there, source)
    space.select_all()
    return h5py.h5d.create(group, name.encode(), layout.TYPES[linked.dtype], space, made)


def _escaped(name):
    """A % in the name of a linked file begins a pattern (H5Pset_virtual); two of them stand for one."""
    return name.replace(b"%", b"%%")
