"""The tree of frame files that a night leaves: {second,minute}-trend/{LHO,LLO}/<folder>/<file>, and their order."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...errors import BadInput, wording

SITES = ("LHO", "LLO")
FINE, COARSE = "second-trend", "minute-trend"
_NAMES = {
    FINE: re.compile(r"[HL]-T-(\d{1,15})-(60|600)\.gwf"),
    COARSE: re.compile(r"[HL]-M-(\d{1,15})-(3600)\.gwf"),
}
# Seconds of the longest file that such a name can tell.
LONGEST = 3600
_FOLDER = re.compile(r"[HL]-.+")


class TrendFile(NamedTuple):
    """A frame file of the tree: its span in GPS seconds, as its name tells it, and whether it is second trend."""

    folder: str
    name: str
    start: int
    end: int
    fine: bool

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.name)

    @property
    def order(self) -> tuple:
        """Files are logged by this: by time, second trend before the minute trend that it is a part of."""
        return self.end, not self.fine, self.start, self.name


class SiteTree(NamedTuple):
    """The TrendFiles of one site in order of their start, each base name once; and the paths of all other entries."""

    files: list[TrendFile]
    strays: list[str]


class Stamp(NamedTuple):
    """Size and mtime in ns of a file.  A file that had faults is tried again when its stamp has changed."""

    size: int
    mtime: int

    def never(self) -> "Stamp":
        """A stamp that no file has.  It is noted of a file that the system did not give, so that it is tried again."""
        return Stamp(self.size, -1)


# The stamp of a file that is gone.
GONE = Stamp(0, 0)


def stamp_of(path: str) -> Stamp:
    """The Stamp of a file; GONE if there is none."""
    try:
        seen = os.stat(path)
        return Stamp(seen.st_size, seen.st_mtime_ns)
    except OSError:
        return GONE


def files(root: str, site: str) -> SiteTree:
    """The files of a site; BadInput if the tree cannot be read.

    Names that begin with a dot are left out without a word: rsync writes to those.
    """
    found: dict[str, TrendFile] = {}
    strays: list[str] = []
    for trend in (FINE, COARSE):
        top = os.path.join(root, trend, site)
        for folder in _entries(top, strays, _FOLDER):
            for entry in _entries(folder, strays):
                match = _NAMES[trend].fullmatch(os.path.basename(entry))
                if not match or os.path.isdir(entry):
                    strays.append(entry)
                    continue
                name, start = match[0], int(match[1])
                found.setdefault(name, TrendFile(folder, name, start, start + int(match[2]), trend == FINE))
    return SiteTree(sorted(found.values(), key=lambda file: (file.start, file.end, file.name)), strays)


def check(root: str) -> None:
    """Raise BadInput if a folder is no tree of frames."""
    if not os.path.isdir(root):
        raise BadInput(f"no such folder: {root!r}")
    if not any(os.path.isdir(os.path.join(root, trend)) for trend in (FINE, COARSE)):
        raise BadInput(f"neither {FINE} nor {COARSE} in {root!r}")


def clusters(listing: Iterable[TrendFile]) -> list[list[TrendFile]]:
    """Files in order of their start, cut into lists so that files of different lists never overlap."""
    cut: list[list[TrendFile]] = []
    reach = 0
    for file in listing:
        if not cut or file.start >= reach:
            cut.append([])
            reach = file.end
        cut[-1].append(file)
        reach = max(reach, file.end)
    return cut


def _entries(folder: str, strays: list[str], folders: re.Pattern | None = None) -> Iterator[str]:
    """Paths in a folder, sorted; if a pattern is given, of folders with such a name alone, and the others are strays.

    Nothing if the folder is not there.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadInput(f"{wording(error)}: {folder!r}") from None
    for name in names:
        path = os.path.join(folder, name)
        if folders is not None and not (folders.fullmatch(name) and os.path.isdir(path)):
            strays.append(path)
        else:
            yield path
