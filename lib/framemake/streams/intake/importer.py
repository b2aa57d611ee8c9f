"""From a tree of frames to a folder of streams: what is new is appended, what comes late goes where it belongs.

Of a file that was imported before only name, size and time are looked at: one that was replaced is put in the place of
what it was.  What cannot be used is reported in ImportData.errors, and
everything else goes on.

The rooms call one another one way: importer, site, late, takeover, appender, journal, writing, and what these
use: past, samples, sums, tree, disk.
"""

from collections.abc import Callable
from typing import NamedTuple

from ...errors import BadInput
from .. import envelope
from . import tree, writing
from .journal import Journal
from .site import SiteImport


class Imported(NamedTuple):
    """What an import did.

    files: how many are done now; records: how many were appended; streams: how many streams got some; faulty: the names
    of files with faults, sorted; errors: the path of the error log; rewritten: names of the streams whose end was
    written anew, sorted: what has read their index before must read it again; others: names of the stream files, and
    maybe of the log of files, that another program has written to since the last import.
    """

    files: int
    records: int
    streams: int
    faulty: list[str]
    errors: str
    rewritten: list[str]
    others: list[str]


def run(
    root: str,
    folder: str,
    wait: bool = False,
    progress: Callable[[int, int], object] | None = None,
    reload: bool = False,
) -> Imported:
    """Import all that is new in a tree of frames, `root`, into a folder of streams, which is made if need be.

    progress: called with (files done, files to do).  reload: see Writer.ask_to_reload.
    Raises BadInput if another import holds the folder and wait
    is False, or if the tree cannot be read; OSError if the disk is full.  What was committed stays.
    """
    tree.check(root)
    with writing.locked(folder, wait) as lock:
        if lock is None:
            raise BadInput(f"another import is at work: {folder!r}")
        return _import(root, folder, progress, reload)


def _import(root, folder, progress, reload):
    trees = {site: tree.files(root, site) for site in tree.SITES}
    writer = writing.Writer(folder, [file.name for found in trees.values() for file in found.files], root)
    journal = Journal(writer, progress)
    try:
        for name, message in writer.mended:
            journal.tell(name, message)
        for name in writer.others:
            journal.tell(None, f"another program has written to it since our last import: {name!r}")
        sites = [SiteImport(site, root, found, writer, journal) for site, found in trees.items()]
        journal.total = sum(len(each.new) for each in sites)
        for each in sites:
            each.go()
        journal.flush()
        writer.finish({name: stamp for each in sites for name, stamp in each.known.items()})
        if reload:
            writer.ask_to_reload()
    except BaseException:
        writer.rollback()
        raise
    writer.close()
    envelope.renew_all(folder, {*journal.grown, *journal.rewritten})
    return Imported(
        journal.files,
        journal.records,
        len(journal.grown),
        sorted(journal.faulty),
        journal.path,
        sorted(journal.rewritten),
        writer.others,
    )
