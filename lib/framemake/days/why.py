"""Why samples of a channel are missing in a range of days: see day/why, and what there is before a day file."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from .. import gps
from ..day.folder import COMPLETED, MISSING, Folder
from ..frames.catalog import number
from .opened import OpenDays, identity_of

NOT_BUILT = "day not built"


class Missing(NamedTuple):
    """A span [start, end) without data, in GPS seconds.

    kind: the reason in a few fixed words (see NOT_BUILT and day/why); detail: more words, or ''; path: the file or
    folder that it is about; date: the UTC day.
    """

    start: float
    end: float
    kind: str
    detail: str
    path: str
    date: str


def explain(
    days: OpenDays, name: str, spans: Iterable[tuple[float, float]], probe: bool = True, fetch: bool = False
) -> list[Missing]:
    """The Missing of each span [(start, end)] in which the days have no sample of a channel, cut where reasons change.

    probe: whether frame files may be opened, fetch: those at URLs, too; see day/why.  Raises BadInput for a day file
    that cannot be read.
    """
    by_date: dict[str, list[tuple[float, float]]] = {}
    for start, end in spans:
        at = start
        while at < end:
            date = gps.day_of(at)
            stop = min(end, gps.day_window(date).end)
            by_date.setdefault(date, []).append((at, stop))
            at = stop
    # Only now: it asks frame files, and most reads of samples do not come here.
    from ..day import why

    folders, found = days.folders(), []
    for date, some in by_date.items():
        folder = folders.get(date)
        if folder is None or identity_of(folder.h5) is None:
            detail, path = unbuilt(days.out, folder)
            found += [Missing(start, end, NOT_BUILT, detail, path, date) for start, end in some]
            continue
        with days.day(folder.h5) as day:
            found += [Missing(*reason, date) for reason in why.reasons(day, name, some, probe, fetch)]
    return found


def unbuilt(out: str, folder: Folder | None) -> tuple[str, str]:
    """(words, path) of a day of an output folder that has no day file; folder: None if it has no folder."""
    if folder is None:
        return "there is no folder of the day", out
    state, status = folder.standing()
    if status == COMPLETED:
        return "the day file is gone", folder.path
    if status == MISSING:
        return "the folder of the day is empty", folder.path
    error = state.get("error")
    return f"the day is {status}" + (f": {error}" if error and error != status else ""), folder.path


def to_lines(found: Iterable[Missing]) -> Iterable[str]:
    """Lines of GPS start, end, reason, detail, path and day, tab-separated."""
    for each in found:
        words = (" ".join(word.split()) for word in (each.kind, each.detail))
        yield "\t".join((number(each.start), number(each.end), *words, each.path, each.date)) + "\n"


def to_json(name: str, found: Iterable[Missing]) -> str:
    """The same as a JSON object: channel, and missing, a list of objects."""
    return json.dumps({"channel": name, "missing": [each._asdict() for each in found]}) + "\n"
