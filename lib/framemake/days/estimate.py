"""What days would take before they are made: bytes and time, from what finished days of the folder took.

Bytes: of each channel what a second of it takes in the newest finished day that has it, times the seconds that frames
cover.  A channel that no finished day has is looked for in the frames: its rate and dtype tell its size, and the
finished days how far samples are compressed.  Time: what finished days took that were made in one go, by their bytes.
"""

import math
import os
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .. import files, gps, jsontext
from ..day import dayfile, layout
from ..day.folder import Folder
from ..errors import BadInput
from ..frames import channels, lists, probe
from ..frames.channels import Channel
from . import lower, plan, status

# So many of the newest finished days are looked at, for their time and for the size of their channels.
_TIMED, _SIZED = 9, 3


class Estimate(NamedTuple):
    """What days would take.

    days: how many.  bytes: of the day files, more than there are now.  seconds: of the clock; None if not known.
    by_bytes, by_seconds: how each was got, in words.  at_most: whether they may take less, as of some days only a part
    is new, or it is not known how far samples are compressed.
    """

    days: int
    bytes: int
    by_bytes: str
    seconds: float | None
    by_seconds: str
    at_most: bool

    def sentence(self) -> str:
        about = "at most about" if self.at_most else "about"
        time = "time not known" if self.seconds is None else f"{about} {gps.lasting(self.seconds)}"
        size = f"{about} {status.size(self.bytes)}"
        return f"{self.days} day(s) to build: {size} ({self.by_bytes}); {time} ({self.by_seconds})"


def estimate(
    due: Sequence[plan.PlannedDay],
    inputs: plan.RangeInputs,
    wanted: Sequence[Channel],
    look: Callable[[list[Channel]], list[Channel]],
    at_once: int = 1,
) -> Estimate:
    """What the days that have work to do would take.

    inputs: of their plan.  wanted: the channel list.  look: gives rate and dtype of channels that no finished day has,
    as far as they are found.  at_once: how many days are made at once.
    """
    finished = _finished(inputs)
    rate, by_bytes, loose = _Sizes(finished[:_SIZED]).of_list(wanted, look)
    totals = [rate * day.seconds for day in due]
    here = [_size_of(inputs.folder(day.day).h5) for day in due]
    size = sum(max(0, round(total) - there) for total, there in zip(totals, here, strict=True))
    seconds, by_seconds = _seconds(finished[:_TIMED], totals, at_once)
    return Estimate(len(due), size, by_bytes, seconds, by_seconds, loose or any(here))


def of_range(
    source: str, planned: Sequence[plan.PlannedDay], inputs: plan.RangeInputs, at_once: int = 1
) -> Estimate | None:
    """The same of a plan; None if no day has work to do.

    source: what the frames were listed from, '-' if that cannot be read again; of days at a lower rate, the folder of
    the days that they are made from.  BadInput or OSError if it cannot be read.
    """
    due = [day for day in planned if day.is_due]
    if not due:
        return None
    day = due[0].day
    if inputs.request and inputs.request.rate:
        wanted = lower.channels(source, inputs.spec, day, inputs.request.rate)
        return estimate(due, inputs, wanted, list, at_once)

    def look(new):
        if source == "-":
            return []
        try:
            listing = lists.list_frames(source, gps.day_window(day)).frames
            # What is elsewhere is not fetched for it.
            return probe.find_channels(new, [frame for frame in listing if not frame.is_remote], 8).channels
        except BadInput:
            return []

    wanted, _ = channels.read(inputs.requested.decode("utf-8", "surrogateescape"), "the channel list")
    return estimate(due, inputs, wanted, look, at_once)


def _finished(inputs):
    """The folders of finished days of the same SPEC, the newest first."""
    try:
        dates = Folder.all_in(inputs.out).get(inputs.spec, {})
    except OSError:
        return []
    found = []
    for _, folder in sorted(dates.items(), reverse=True):
        if folder.is_finished():
            found.append(folder)
        if len(found) == max(_TIMED, _SIZED):
            break
    return found


class _Sizes:
    """What channels take in finished days: by channel bytes a second, and how far samples are compressed."""

    def __init__(self, folders):
        self.days, self.of_channel = 0, {}
        stored, raw = 0.0, 0.0
        for folder in folders:
            day = dayfile.find(folder.h5)
            if day is None:
                continue
            self.days += 1
            with day:
                totals = day.totals() if day.provenance.layout != layout.CONVERTER else {}
                for name, held in day.datasets.items():
                    dataset = day.dataset(name)
                    good = float(totals[name][0]) if name in totals else held.total
                    if dataset is None or not good:
                        continue
                    size = dataset.id.get_storage_size()
                    self.of_channel.setdefault(name, size / good * held.rate)
                    stored += size
                    raw += good * dataset.dtype.itemsize
        self.ratio = stored / raw if raw else None

    def of_list(self, wanted, look):
        """(bytes a second, how that was got, whether it is a bound) of the channels of a list."""
        known = [channel.name for channel in wanted if channel.name in self.of_channel]
        new = [channel for channel in wanted if channel.name not in self.of_channel]
        size = sum(self.of_channel[name] for name in known)
        words = [f"{len(known)} channels as in {self.days} finished day(s)"] if known else []
        if new:
            found = [channel for channel in look(new) if channel.rate]
            raw = sum(channel.rate * np.dtype(channel.dtype).itemsize for channel in found)
            size += raw * (self.ratio or 1)
            packed = "uncompressed" if self.ratio is None else f"compressed to {100 * self.ratio:.0f} % as there"
            words.append(f"{len(found)} channels by their rate, {packed}")
            if len(found) < len(new):
                words.append(f"{len(new) - len(found)} channels not met and left out")
        return size, ", ".join(words), bool(new) and self.ratio is None


def _seconds(folders, totals, at_once):
    """(seconds of the clock for days of these bytes, or None; how that was got)."""
    runs = [run for run in map(_one_go, folders) if run]
    if not runs:
        return None, "no finished day tells how long it took"
    same = [run for run in runs if run["at_once"] == at_once]
    a_byte = statistics.median(run["seconds"] / run["bytes"] for run in same or runs)
    days = f"{len(same or runs)} finished day(s)"
    part = "" if all(run["whole"] for run in same or runs) else "; some may have been made in parts"
    total = sum(totals) * a_byte
    if same:
        rounds = math.ceil(len(totals) / at_once) / max(1, len(totals))
        return total * rounds, f"as {days} took, {at_once} at once{part}"
    was = statistics.median(run["at_once"] for run in runs)
    return total / was, f"as {days} took, {was:g} at once, not {at_once}{part}"


def _one_go(folder):
    """How a finished day was made: seconds, bytes, at_once, whole; None if it does not tell."""
    told = folder.state().get("one_go")
    try:
        if told:
            run = {"whole": True, **{key: float(told[key]) for key in ("seconds", "bytes", "at_once")}}
        else:
            # A day of before this was noted: the summary tells of the run that came last.
            with files.opened(folder.summary, encoding="utf-8") as source:
                said = jsontext.members(source.read(), ("elapsed_time_seconds", "dataset_size_bytes"))
            run = {"whole": False, "at_once": 1.0, "seconds": float(said["elapsed_time_seconds"])}
            run["bytes"] = float(said["dataset_size_bytes"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return run if run["bytes"] > 0 and run["at_once"] >= 1 else None


def _size_of(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
