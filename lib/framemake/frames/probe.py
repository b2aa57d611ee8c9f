"""What the frames say of the channels of a list: which are there, with what rate, kind, dtype and unit."""

import math

from .. import grid, gwf
from ..errors import wording
from . import catalog, channels


def look(wanted, listing, most=None):
    """Look into frame files until every channel is found, or into `most` of them, spread over the span.

    wanted: channels.Channel list; listing: catalog.Frame list.  Returns (found, rejected, bad): the channels
    with what is known of them, in the order of the list; channels.Rejected; [(path, reason)] of files that
    cannot be read.  With `most`, a channel that was not seen stays among the found.
    """
    rejected = [channels.Rejected(c.name, "invalid", channels.unfit(c.name)) for c in wanted if channels.unfit(c.name)]
    unfit = {entry.name for entry in rejected}
    left = {channel.name for channel in wanted} - unfit
    found, problems, bad = {}, {}, []
    used = [frame for frame in listing if frame.status == catalog.USED]
    looked = 0
    for frame in _spread(used):
        if not left or (most and looked >= most):
            break
        try:
            file = gwf.open_file(frame.path)
            kinds = file.kinds
        except (gwf.BadFrame, OSError) as error:
            bad.append((frame.path, wording(error)))
            continue
        looked += 1
        here = sorted(left & kinds.keys())
        soon = file.describe_all(here)
        for name in here:
            known = _describe(file, name, kinds[name], soon.get(name))
            if known is None:
                continue
            if isinstance(known, str):
                problems.setdefault(name, known)
            else:
                found[name] = known
                problems.pop(name, None)
                left.discard(name)
    kept = []
    for channel in wanted:
        name = channel.name
        if name in unfit:
            continue
        if name in found:
            kept.append(found[name])
        elif name in problems:
            rejected.append(channels.Rejected(name, "pruned", problems[name]))
        elif most and looked < len(used):
            kept.append(channels.Channel(name))
        else:
            rejected.append(channels.Rejected(name, "invalid", "in no frame"))
    return kept, rejected, bad


def expect(wanted, listing, held):
    """The channels of a list, with what a few frame files tell of those that `held` does not hold; none is left out."""
    found, _, _ = look([channel for channel in wanted if channel.name not in held], listing, 8)
    known = {channel.name: channel for channel in found}
    return [known.get(channel.name, channel) for channel in wanted]


def _spread(used):
    """First, last, middle, quarters, ...: a channel that comes or goes is met after a few files."""
    order, seen, count = [], set(), len(used)
    for step in (count - 1, *(count / 2**power for power in range(1, 64) if count / 2**power >= 0.5)):
        for number in range(math.ceil(count / step) + 1 if step else 1):
            at = min(count - 1, round(number * step))
            if at not in seen:
                seen.add(at)
                order.append(used[at])
    order += [frame for at, frame in enumerate(used) if at not in seen]
    return order


def _describe(file, name, kind, known):
    """A Channel, or why it cannot be used, or None if its vector cannot be read in this file; `known`: Kind or None."""
    try:
        found = known or file.describe(0, name, kind)
    except (gwf.BadFrame, OSError):
        return None
    if found is None or found.problem == gwf.NO_DATA:
        return None
    if found.problem:
        return found.problem
    if not found.dt > 0:
        return f"no sample rate: spacing {found.dt!r} s"
    return channels.Channel(name, grid.rate_of(found.dt), kind, gwf.convertible(found.dtype).name, found.unit)
