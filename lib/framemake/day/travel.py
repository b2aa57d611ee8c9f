"""A day that is built on a machine which does not share the output folder: what goes there, what comes home."""

import os
import shutil

from .. import files
from ..errors import BadInput, WouldLose
from .folder import Folder


def lent(folder: Folder) -> tuple:
    """The paths of what a machine needs of a day: (the list of its frames, its state)."""
    return folder.listed, folder.state_path


def pack(folder: Folder, there: str, home: str) -> list:
    """Make a day that was built in the output folder `there` ready for `home`; the names of its files, the state last.

    Locks and parts stay where they are.
    """
    for path in (folder.lock, folder.state_lock):
        if os.path.exists(path):
            os.unlink(path)
    shutil.rmtree(folder.parts, ignore_errors=True)
    h5 = folder.state().get("h5_path")
    if h5:
        folder.note(h5_path=home + h5.removeprefix(there))
        os.unlink(folder.state_lock)
    paths = [path for path in _files(folder.path) if path != folder.state_path]
    return [os.path.relpath(path, folder.path) for path in [*paths, folder.state_path]]


def take(came: str, out: str, spec: str, wait: float, shrink: bool = False) -> Folder:
    """Put what came of a day, unpacked in the folder `came`, into its folder in `out`; the Folder.

    Each file replaces the old one at once, the state last: until then the day is not done for any reader, so what is
    killed here is built again.  wait: seconds to wait for another make on the day.  BadInput if there is no state,
    which comes last, or another make holds the day.  WouldLose if a finished day would lose samples, unless shrink.
    """
    inside = Folder.at(came)
    date = inside.state().get("date")
    if not date:
        raise BadInput(f"what a machine sent of a day is not whole: {came!r}")
    _sync_all(came)
    folder = Folder.of(out, spec, date)
    inside = Folder(came, folder.name)
    try:
        with folder.hold(wait):
            if not shrink:
                _refuse_loss(inside, folder)
            _move(inside, folder)
    except WouldLose as stands:
        folder.note_stands(str(stands))
        shutil.rmtree(came)
        raise
    except TimeoutError:
        raise BadInput(f"another make holds the day, what a machine sent of it is left out: {folder.path!r}") from None
    shutil.rmtree(came)
    return folder


def _refuse_loss(inside, folder):
    """Raise WouldLose if the day file that came has less than the one at home: the machine did not have that one."""
    if not (os.path.exists(inside.h5) and os.path.exists(folder.h5)):
        return
    # Loaded here: a day that is new needs none of it.
    from . import dayfile, earlier, statistics

    old = dayfile.find(folder.h5)
    if old:
        with old, dayfile.open_day(inside.h5) as new:
            counts = lambda name: new.statistics(name)[:, statistics.COUNT]  # noqa: E731
            earlier.refuse_loss(old, new.provenance, new.samples, counts)


def _move(inside, folder):
    if os.path.exists(inside.log):
        with files.opened(inside.log, "rb") as more, files.opened(folder.log, "ab") as log:
            shutil.copyfileobj(more, log)
    if os.path.exists(inside.h5) and os.path.exists(folder.summary):
        os.unlink(folder.summary)  # of the day file that was there before
    for path in _files(inside.path):
        if path in (inside.log, inside.state_path):
            continue
        home = os.path.join(folder.path, os.path.relpath(path, inside.path))
        os.makedirs(os.path.dirname(home), exist_ok=True)
        os.replace(path, home)
    os.replace(inside.state_path, folder.state_path)


def _files(path):
    return [os.path.join(at, name) for at, _, names in os.walk(path) for name in sorted(names)]


def _sync_all(path):
    """Wait until what came is on the disk."""
    for file in _files(path):
        with files.opened(file, "rb") as one:
            os.fsync(one.fileno())
