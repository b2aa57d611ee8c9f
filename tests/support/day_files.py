"""Day files without frames: what asks a finished day can be tested on one that is made in a few milliseconds."""

import os

from framemake import gps, grid
from framemake.day import derived, layout, summary
from framemake.day.account import Account
from framemake.day.folder import Folder
from framemake.day.provenance import Origin, Provenance
from framemake.frames import catalog


def day_file(path, channels, window, mtime=1, compression="lzf"):
    """A day file of channels, {name: (rate, phase, samples)}, whose only frame gave all of them; its path."""
    frame = catalog.Frame("/frames/V-x.gwf", window.start, window.duration, 1, mtime)
    with derived.writing(str(path), window, 600, compression) as writer:
        for name, (rate, phase, samples) in channels.items():
            writer.add(name, samples.dtype.name, grid.Grid(rate, phase), "um", lambda a, b, s=samples: s[a:b])
        account = Account([(0, 0)], len(channels))
        account.gave[:] = account.number_of("um")
        account.seen = set(channels)
        datasets, names = writer.datasets, list(channels)
        origin = Origin("V1trend", requested=names)
        made = Provenance("1", window, 600, compression, origin, names, datasets, [frame], account, {}, {})
        writer.finish(made._replace(layout=layout.LAYOUT))
    return str(path)


def day_folder(out, date, channels, seconds=600, spec="V1trend", **state):
    """A finished day of an output folder, with all that is told beside its file; the Folder.

    seconds: from its midnight; state: more keys of its state.
    """
    folder, start = Folder.of(str(out), spec, date), gps.day_window(date).start
    os.makedirs(folder.path)
    day_file(folder.h5, channels, gps.Window(start, start + seconds))
    summary.tell(folder.h5)
    folder.note(**state)
    return folder
