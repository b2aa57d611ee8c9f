"""From a tree of frames to a folder of streams: what is new is appended, what comes late goes where it belongs.

What is not new costs nothing but a look at its name.  What cannot be used is told in ImportData.errors, and everything
else goes on.
"""

import os
import time
from typing import NamedTuple

from ...errors import BadInput
from . import site, tree, writing


class Summary(NamedTuple):
    """What an import did: files that are done, records appended, streams that got some, names of files with faults."""

    files: int
    records: int
    streams: int
    faulty: list


def run(root, folder, wait=False, progress=None):
    """Import all that is new in a tree of frames; the Summary.

    progress: called with (files done, files to do).  Raises BadInput if another import holds the folder and wait
    is False, or the tree cannot be read; OSError if the disk is full: what was committed stays.
    """
    tree.check(root)
    with writing.locked(folder, wait) as lock:
        if lock is None:
            raise BadInput(f"another import is at work: {folder!r}")
        return Import(root, folder, progress or (lambda *_: None)).run()


class Import:
    """One run."""

    def __init__(self, root, folder, progress):
        self.root, self.folder, self.progress = root, folder, progress
        self.trees = {name: tree.files(root, name) for name in tree.SITES}
        self.writer = writing.Writer(folder, [file.name for listing, _ in self.trees.values() for file in listing])
        self.done = self.total = self.files = self.records = 0
        self.grown, self.faulty, self._messages = set(), set(), {}

    def run(self):
        try:
            for name, message in self.writer.told:
                self.tell(name, message)
            sites = [site.Site(self, name) for name in tree.SITES]
            self.total = sum(len(each.new) for each in sites)
            for each in sites:
                each.go()
            self.report()
            self.writer.finish()
        except BaseException:
            self.writer.rollback()
            raise
        self.writer.close()
        return Summary(self.files, self.records, len(self.grown), sorted(self.faulty))

    def tell(self, about, message, file=None):
        """Put a message about a stream or channel in the error log; the same of several files is one line."""
        self._messages.setdefault((about, message), []).append(file.name if file else None)

    def fault(self, file, message, stamp, channel=None):
        """Tell that a file, or a channel in it, could not be used; it is tried again when its stamp has changed."""
        self.tell(channel, message, file)
        self.faulty.add(file.name)
        self.writer.fault(file.name, stamp)

    def report(self):
        """Append what was told to ImportData.errors."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lines = []
        for (about, message), names in self._messages.items():
            more = f" (and {len(names) - 1} more files, to {names[-1]})" if len(names) > 1 else ""
            parts = [names[0] and names[0] + more, about, message]
            lines.append(f"{stamp} " + ": ".join(" ".join(part.split()) for part in parts if part) + "\n")
        self._messages = {}
        if lines:
            with open(errors_of(self.folder), "a", encoding="utf-8", errors="surrogateescape") as log:
                log.writelines(lines)

    def step(self):
        self.done += 1
        self.progress(self.done, self.total)


def errors_of(folder):
    """The path of a folder's error log."""
    return os.path.join(folder, writing.ERRORS)
