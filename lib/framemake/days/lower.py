"""Many days at a lower rate: which day files there are to resample, and the making of those that have changed."""

import functools
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .. import gps
from ..day import dayfile, resample, summary
from ..day.folder import FAILED, Folder
from ..errors import BadInput, WouldLose, wording
from ..frames import catalog
from ..frames.channels import Channel
from . import index


class SourceDay(NamedTuple):
    """A day that has a day file: its spec, its date, the path."""

    spec: str
    date: str
    h5: str


def source_days(
    out: str, spec: str | None = None, first: str | None = None, last: str | None = None
) -> list[SourceDay]:
    """The days of an output folder that have a day file, by spec and date.

    spec: only of this one.  first, last: days, both included.  BadInput if there is no such folder or day.
    """
    gps.check_days(first, last)
    return [
        SourceDay(name, date, folder.h5)
        for name, folders in sorted(Folder.all_in(out).items())
        if spec in (None, name)
        for date, folder in sorted(folders.items())
        if (not first or date >= first) and (not last or date <= last) and os.path.isfile(folder.h5)
    ]


def listing(days: list[SourceDay]) -> list[str]:
    """The day files as the lines of a list of frames, each over its whole UTC day: what days at a lower rate are
    made from, as other days are from frames."""
    windows = ((day, gps.day_window(day.date)) for day in days)
    return [
        catalog.ffl_line(catalog.Frame(os.path.abspath(day.h5), window.start, window.duration)) + "\n"
        for day, window in windows
    ]


def channels(out: str, spec: str, date: str, rate: str) -> list[Channel]:
    """The channels that a day of an output folder would have at a lower rate, with rate and dtype."""
    with dayfile.open_day(Folder.of(out, spec, date).h5) as day:
        most = float(resample.Lower(rate).hertz)
        return [
            Channel(name, min(held.rate, most), dtype=held.dtype, unit=held.unit) for name, held in day.datasets.items()
        ]


def make(
    days: list[SourceDay],
    out: str,
    to: resample.Lower,
    compression: str,
    shrink: bool,
    say: Callable[[str], None],
    left: Callable[[Exception], None],
    wait: float = 3600,
) -> Iterator[str]:
    """Resample those of some days that are not done, or whose day file has changed; yields the path of each.

    Each has its day folder in `out`, with summary, lists, coverage and state, as any day has.  A day that fails, or
    would lose something, stops no other.  say: called with what people should know; left: with why a day is not made, a
    BadInput or a WouldLose.  wait: seconds to wait for another make on a day.
    """
    for day in days:
        folder = Folder.of(out, day.spec, day.date)
        os.makedirs(folder.work, exist_ok=True)
        try:
            with folder.hold(wait, functools.partial(say, f"{day.date} is being built by another make, waiting")):
                done = folder.is_finished() and os.path.exists(folder.summary)
                if done and resample.is_made_from(folder.h5, day.h5, to, compression):
                    continue
                _make(day, folder, to, compression, shrink, say)
        except WouldLose as stands:
            left(stands)
        except TimeoutError:
            left(BadInput(f"gave up waiting after {wait:g} s: {folder.path!r}"))
        except (BadInput, OSError) as error:
            what = str(error) if isinstance(error, BadInput) else f"{wording(error)}: {error.filename or day.h5!r}"
            folder.note(date=day.date, status=FAILED, error=what)
            left(BadInput(what))
        else:
            yield folder.h5
    index.write(out)


def _make(day, folder, to, compression, shrink, say):
    begun = gps.now_utc()
    folder.note_running(begun, date=day.date, error=None)
    try:
        for message in resample.write(day.h5, folder.h5, to, compression, shrink):
            say(f"{day.date}: {message}")
    except WouldLose as stands:
        folder.note_stands(str(stands))
        raise
    summary.tell(folder.h5)
