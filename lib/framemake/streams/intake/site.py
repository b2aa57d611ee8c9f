"""The import of one site's files into its streams.

Files are read in time order, in batches; files that overlap are in one batch.  Each stream is written once a
batch, and a batch is one commit.  Files that begin before the end of what is stored are late: see `late`.
"""

import os

from .. import store
from . import tree
from .appender import Appender
from .batch import Batch
from .journal import Journal
from .writing import Writer


class SiteImport:
    """The import of one site's files.

    new: names of the files that are to be read; replaced: of those that were imported before, as another file; known:
    {name: Stamp} of files that were imported when nobody noted what they were: they are taken to be the same.
    """

    def __init__(self, site: str, root: str, found: tree.SiteTree, writer: Writer, journal: Journal):
        self._site, self._root, self._found, self._writer, self._journal = site, root, found, writer, journal
        self.replaced: set[str] = set()
        self.known: dict[str, tree.Stamp] = {}
        self.new = {file.name for file in found.files if self._is_new(file)}
        self._appender = Appender(site, self.new, writer, journal, self.replaced)

    def _is_new(self, file):
        """Whether a file is to be read: it is not done, or has changed since it, or something in it, was no use."""
        done, tried = file.name in self._writer.done, self._writer.faults.get(file.name)
        if not done and not tried:
            return True
        now, then = tree.stamp_of(file.path), self._writer.stamps.get(file.name)
        if not tried and not then:
            self.known[file.name] = now
            return False
        if now == (tried or then) or (not tried and now == tree.GONE):
            return False
        if done and now != then:
            self.replaced.add(file.name)
        return True

    def go(self) -> None:
        """Import what is new, and mend what is damaged."""
        self._tell_strays()
        self._take_over()
        streams = {name: held for name, held in self._writer.streams.items() if held.site == self._site}
        damaged = streams.keys() & self._writer.damaged.keys()
        if not self.new and not damaged:
            return
        usable = self._usable()
        todo = [cluster for cluster in tree.clusters(usable) if any(file.name in self.new for file in cluster)]
        reach = max((held.running.reach for held in streams.values()), default=0.0)
        behind = [cluster for cluster in todo if cluster[0].start < reach]
        ahead = todo[len(behind) :]
        if behind or damaged:
            from .late import Late

            Late(self._appender, usable, behind, damaged).go(last=not ahead)
        if ahead:
            self._append_all(ahead)

    def _usable(self):
        """The files that are new or were read before, in order of their start."""
        known = self._writer.done, self._writer.faults, self.new
        return [file for file in self._found.files if any(file.name in names for names in known)]

    def _tell_strays(self):
        for path in self._found.strays:
            name, stamp = os.path.relpath(path, self._root), tree.stamp_of(path)
            if self._writer.faults.get(name) != stamp:
                self._journal.stray(name, stamp)

    def _take_over(self):
        """Go on with the streams of a folder that the original importer began, as it left them."""
        unknown = {name for name in store.visible(self._writer.folder) if name not in self._writer.streams}
        unknown = {name for name in unknown if site_of(name) == self._site}
        if not unknown or not self.new:
            return
        from . import takeover

        finished = [file for file in self._found.files if file.name not in self.new]
        taker = takeover.Takeover(self._site, finished, unknown, self._writer)
        for name in sorted(unknown):
            for message in taker.take(name):
                self._journal.tell(name, message)
            if name not in self._writer.streams:
                self._appender.hold_back(name, "its stream cannot be taken over")
        self._journal.flush()
        self._writer.commit()

    def _append_all(self, ahead):
        batch = Batch()
        for cluster in ahead:
            if batch.full:
                self._append(batch, last=False)
                batch = Batch()
            for file in cluster:
                if file.name in self.new:
                    self._appender.read(file, batch)
        self._append(batch, last=True)

    def _append(self, batch, last):
        for name in batch.streams:
            self._appender.append(name, batch)
        self._appender.commit(batch.good, last)


def site_of(name: str) -> str:
    """The site of a stream of which only the name is known."""
    return tree.SITES[name.startswith("L")]
