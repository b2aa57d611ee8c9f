"""Many days held against their manifests: whether their files are what they were when they were made."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ..day import check as check_day
from ..day import manifest
from ..day.folder import COMPLETED, QUEUED, RUNNING, Folder
from ..errors import BadInput
from . import status


class CheckedDay(NamedTuple):
    """A day, and what is wrong with its files, (name, what) each; why: why it cannot be told, or ''."""

    day: status.DayStatus
    faults: list[tuple[str, str]]
    why: str = ""


def check(
    out: str,
    spec: str | None = None,
    first: str | None = None,
    last: str | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    samples: bool = False,
) -> Iterator[CheckedDay]:
    """Each day of an output folder of which there is something to tell, in order.

    spec, first, last: as of status.days_of, whose BadInput is raised.  jobs: so many days at once, each in a thread:
    hashing is done outside of Python.  progress: called with how many of all days are done.  samples: read the samples
    as well, and hold each channel against its digest.
    """
    days = status.days_of(out, spec, first, last)
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda day: _look(out, day, samples), days)
        for number, checked in enumerate(found, 1):
            progress(number, len(days))
            if checked.faults or checked.why:
                yield checked


def _look(out, day, samples):
    folder = Folder.of(out, day.spec, day.date)
    state = folder.standing()[1]
    if state in (RUNNING, QUEUED):
        return CheckedDay(day, [])
    if state != COMPLETED:
        return CheckedDay(day, [], f"{day.status}, {day.error}" if day.error else day.status)
    before = _written(folder)
    try:
        faults = manifest.faults(folder)
        if samples and os.path.exists(folder.h5):
            faults += [(name, what) for name, _, _, what in check_day.samples(folder.h5)]
    except BadInput as unknown:
        return CheckedDay(day, [], str(unknown))
    # What is made again meanwhile is another, and not damaged.
    if faults and (folder.is_held() or folder.standing()[1] != COMPLETED or _written(folder) != before):
        return CheckedDay(day, [])
    return CheckedDay(day, faults)


def _written(folder):
    """What tells that a manifest is another one."""
    try:
        seen = os.stat(folder.manifest)
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_mtime_ns
