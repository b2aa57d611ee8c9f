"""The tree of frame files that a night leaves: {second,minute}-trend/{LHO,LLO}/<folder>/<file>, and their order."""

import os
import re
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


class File(NamedTuple):
    """A frame file of the tree: its span in GPS seconds, as its name tells it, and whether it is second trend."""

    folder: str
    name: str
    start: int
    end: int
    fine: bool

    @property
    def path(self):
        return os.path.join(self.folder, self.name)

    @property
    def order(self):
        """Files are logged by this: by time, second trend before the minute trend that it is a part of."""
        return self.end, not self.fine, self.start, self.name


def files(root, site):
    """(files, strays) of a site: Files in order of their start, each base name once; and the paths of what is none.

    Names that begin with a dot are left out: rsync writes to those.  Raises BadInput if the tree cannot be read.
    """
    found, strays = {}, []
    for trend in (FINE, COARSE):
        top = os.path.join(root, trend, site)
        for folder in _entries(top, strays, _FOLDER):
            for entry in _entries(folder, strays):
                match = _NAMES[trend].fullmatch(os.path.basename(entry))
                if not match or os.path.isdir(entry):
                    strays.append(entry)
                    continue
                name, start = match[0], int(match[1])
                found.setdefault(name, File(folder, name, start, start + int(match[2]), trend == FINE))
    return sorted(found.values(), key=lambda file: (file.start, file.end, file.name)), strays


def check(root):
    """Raise BadInput if a folder is no tree of frames."""
    if not os.path.isdir(root):
        raise BadInput(f"no such folder: {root!r}")
    if not any(os.path.isdir(os.path.join(root, trend)) for trend in (FINE, COARSE)):
        raise BadInput(f"neither {FINE} nor {COARSE} in {root!r}")


def clusters(listing):
    """Files in order of their start, cut into lists so that files of different lists never overlap."""
    cut, reach = [], None
    for file in listing:
        if reach is None or file.start >= reach:
            cut.append([])
            reach = file.end
        cut[-1].append(file)
        reach = max(reach, file.end)
    return cut


def _entries(folder, strays, folders=None):
    """Paths in a folder, sorted; of folders alone, if a pattern for their names is given.  A folder may be absent."""
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
