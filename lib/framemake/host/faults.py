"""What is faulty now, over days, frames and streams, as long as it is faulty: nothing is noted here, all is looked up.

A day is faulty that failed, was stopped or is missing.  A frame is faulty that a finished day, or the import of the
streams, could not use, or not all of it.  A stream is faulty that cannot be opened.  What has been healed, and made
again, is no longer there to be found.
"""

import json
import os
from collections.abc import Iterator
from typing import NamedTuple

from .. import files, jsontext
from ..day.folder import Folder
from ..days import status
from ..errors import BadInput, wording

DAY, FRAME, STREAM = "day", "frame", "stream"


class Fault(NamedTuple):
    """What is wrong: a kind, DAY, FRAME or STREAM; a name, which for a frame is its path if that is known; where: the
    day that lacks it, or the folder of streams; and why."""

    kind: str
    name: str
    where: str
    reason: str


def of_days(out: str, spec: str | None = None, first: str | None = None, last: str | None = None) -> Iterator[Fault]:
    """The Faults of the days of an output folder, in their order, and of the frames that finished days lack.

    spec, first, last: as status.days_of has them.  Where no day was asked for, and there is none, there is no fault.
    """
    there = Folder.all_in(out)
    dates = [day for name in there if spec in (None, name) for day in there[name]]
    if not (first and last) and not any((first or "") <= day <= (last or day) for day in dates):
        return
    days = status.days_of(out, spec, first, last)
    for day in days:
        if day.status in status.BAD:
            yield Fault(DAY, f"{day.spec or spec}-{day.date}", day.date, day.error or day.status)
    told: set[tuple[str, str]] = set()
    for day in days:
        if day.status in status.BAD or not day.unreadable:
            continue
        for path, reason in _bad_frames(Folder.of(out, day.spec, day.date).summary):
            # A frame across midnight is one of two days.
            if (path, reason) not in told:
                told.add((path, reason))
                yield Fault(FRAME, path, day.date, reason)


def _bad_frames(summary):
    """(path, reason) of the frames that a summary tells of as damaged, each once."""
    try:
        with files.opened(summary, encoding="utf-8", errors="replace") as source:
            found = jsontext.members(source.read(), ("bad_frames",)).get("bad_frames", [])
    except (OSError, ValueError):
        return
    by_path: dict[str, list[str]] = {}
    for entry in found:
        reason = str(entry.get("reason"))
        by_path.setdefault(str(entry.get("path")), []).append(
            f"{entry['channel']}: {reason}" if "channel" in entry else reason
        )
    for path, reasons in by_path.items():
        yield path, reasons[0] + (f"; and {len(reasons) - 1} more" if len(reasons) > 1 else "")


def of_streams(folder: str, root: str | None = None) -> Iterator[Fault]:
    """The Faults of a folder of streams, and of the frames that its import could not use.

    root: the tree of frames, None for that of the last import; what is no longer in it is no fault any more, unless the
    whole tree is away.
    """
    from ..streams import store
    from ..streams.intake import writing

    if not os.path.isdir(folder):
        yield Fault(STREAM, folder, folder, "no folder of streams")
        return
    root = root or writing.tree_of(folder)
    paths = _paths(root) if root else {}
    for name, noted in sorted(writing.faulty(folder).items()):
        path = _path(root, name, paths) if paths else name
        if path:
            reason = noted.reason or "ImportData.errors says why"
            yield Fault(FRAME, path, folder, reason)
    for name in store.names(folder):
        try:
            store.open_stream(folder, name)
        except BadInput as error:
            yield Fault(STREAM, name, folder, str(error))
        except OSError as error:
            yield Fault(STREAM, name, folder, wording(error))


def _paths(root):
    """{name: path} of the frames of a tree."""
    from ..streams.intake import tree

    return {file.name: file.path for site in tree.SITES for file in tree.files(root, site).files}


def _path(root, name, paths):
    """The path of what an import noted; '' if it is gone.  A stray's name has the folders of the tree before it."""
    if "/" in name:
        path = os.path.join(root, name)
        return path if os.path.lexists(path) else ""
    return paths.get(name, "")


def as_json(found: list[Fault]) -> str:
    """The same as a JSON list of objects."""
    return json.dumps([fault._asdict() for fault in found], indent=1)
