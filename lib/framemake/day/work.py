"""A day's plan, and the making of all its parts, by several processes at once."""

import math
import os
import time
from collections.abc import Callable, Container

from .. import compiled, files
from ..frames import probe
from ..gps import Window
from . import rows
from .body import Body
from .earlier import Earlier
from .extract import extract
from .plan import Plan, make, part_path, save, to_fetch
from .reader import Reader

# How far it is is told after so many seconds: it is written to a disk that may be busy, for which those who read wait.
_TOLD = 1.0


def prepare(
    folder: str,
    window: Window,
    increment: int,
    compression: str,
    listing: list,
    wanted: list,
    keep: Earlier | None,
    shrink: bool = False,
) -> Plan:
    """Plan a day, as plan.make does, and save the plan in the folder of its parts."""
    if not any(channel.rate for channel in wanted):
        # A plain list: how much memory a channel takes is not known, unless the earlier result tells.
        held: Container[str] = keep if keep and keep.fits(window, increment, compression) else ()
        wanted = probe.expect(wanted, listing, held)
    made = make(window, increment, compression, listing, wanted, keep, shrink)
    save(made, folder)
    Body(made, folder).make()
    return made


def work(
    plan: Plan,
    folder: str,
    keep: Earlier | None,
    share: tuple[int, int],
    retries: int,
    there: Callable[[str], None],
    log: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int, int], None] = lambda done, total, complete: None,
) -> None:
    """Make every part of a plan that is not there yet; several processes may do so at once.

    share: (i, n), which of n processes this is.  Parts are made in the order of the plan, which is the order in
    which they are joined; each has a lock while it is made, and one that another process holds is left to it, or, by
    one that is alone, waited for: what a killed run left may still be at it.
    there: called with the path of each part that is there, by one of the processes.  log: called with a line on
    each part that this process made, and with one where frames are read slowly.  progress: called now and then, and at
    the end, with how many parts are done, of how many, and how many increments from the first on are complete.
    """
    reader = Reader(retries, max(1000, len(plan.channels)), plan.frames, to_fetch(plan))
    try:
        _work(plan, folder, keep, share, reader, there, log, progress)
    finally:
        reader.close()
        rows.forget()


def _work(plan, folder, keep, share, reader, there, log, progress):
    if share[0] == 1 and compiled.lacking():
        log(compiled.lacking())
    body, is_made = Body(plan, folder), lambda block: _is_locked(_lock_of(folder, block))
    told, untold = time.monotonic(), False
    for number, block in enumerate(plan.blocks):
        path = part_path(folder, block)
        if os.path.exists(path):
            if number % share[1] == share[0] - 1:
                there(path)
            continue
        lock = _lock_of(folder, block.id)
        with files.locked(lock, wait=share[1] == 1) as mine:
            if mine is not None and not os.path.exists(path):
                since = time.monotonic()
                extract(plan, block, folder, reader, keep, body.place(block.id, is_made))
                os.unlink(lock)
                there(path)
                span = f"GPS {plan.window.start + block.start:.0f} to {plan.window.start + block.end:.0f}"
                what = f"{len(block.channels)} channels, {span}, {time.monotonic() - since:.1f} s"
                log(f"part {number + 1} of {len(plan.blocks)}: {what}")
                untold = True
                if time.monotonic() - told > _TOLD:
                    progress(*progress_of(plan, folder))
                    told, untold = time.monotonic(), False
    if untold:
        progress(*progress_of(plan, folder))


def _lock_of(folder, block):
    return os.path.join(folder, f".{block}.lock")


def _is_locked(path):
    if not os.path.exists(path):
        return False
    with files.locked(path, wait=False) as mine:
        return mine is None


def progress_of(plan: Plan, folder: str) -> tuple[int, int, int]:
    """(parts done, parts in all, increments from the first on that are complete) of a plan, as of `progress`."""
    left = [block for block in plan.blocks if not os.path.exists(part_path(folder, block))]
    complete = min((math.floor(block.start / plan.increment) for block in left), default=plan.increments)
    return len(plan.blocks) - len(left), len(plan.blocks), complete
