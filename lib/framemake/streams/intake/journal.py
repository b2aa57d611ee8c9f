"""What an import has to tell: messages for ImportData.errors, faulty files, counts and progress."""

import os
from collections.abc import Callable

from ... import files, gps
from . import tree, writing

ERRORS = "ImportData.errors"


class Journal:
    """What all rooms of an import tell to.  It knows the writer, which keeps the faults, and none of those rooms.

    total: files that the import will read, for the progress; files: those that are done now; records: how many were
    appended; grown: names of the streams that got some; rewritten: of those whose end was written anew; faulty: names
    of the files that had faults.
    """

    def __init__(self, writer: writing.Writer, progress: Callable[[int, int], object] | None = None):
        self._writer, self._progress = writer, progress
        self.total = self.files = self.records = self._read = 0
        self.grown: set[str] = set()
        self.rewritten: set[str] = set()
        self.faulty: set[str] = set()
        self._messages: dict[tuple[str | None, str], list[str | None]] = {}

    @property
    def path(self) -> str:
        """The path of the error log."""
        return os.path.join(self._writer.folder, ERRORS)

    def tell(self, about: str | None, message: str, file: tree.TrendFile | None = None) -> None:
        """Put a message in the error log; the same one of several files becomes one line.

        about: the stream or channel that it is about, if it is about one; file: the file that it arose from.
        """
        self._messages.setdefault((about, message), []).append(file.name if file else None)

    def fault(self, file: tree.TrendFile, message: str, stamp: tree.Stamp, channel: str | None = None) -> None:
        """Tell that a file, or a channel in it, could not be used.

        The file is tried again when its stamp is no longer this one.
        """
        self.tell(channel, message, file)
        self.faulty.add(file.name)
        self._writer.fault(file.name, stamp, f"{channel}: {message}" if channel else message)

    def stray(self, name: str, stamp: tree.Stamp) -> None:
        """Tell of a path in the tree, relative to it, that is no frame file of that place."""
        self.tell(None, f"no frame file of this place in the tree, left out: {name!r}")
        self.faulty.add(name)
        self._writer.fault(name, stamp, "no frame file of this place in the tree")

    def count(self, name: str, records: int) -> None:
        """Count records that a stream got."""
        self.records += records
        self.grown.add(name)

    def step(self) -> None:
        """Count a file that was read."""
        self._read += 1
        if self._progress:
            self._progress(self._read, self.total)

    def flush(self) -> None:
        """Append the messages to the error log."""
        now, lines = gps.now_utc(), []
        for (about, message), names in self._messages.items():
            more = f" (and {len(names) - 1} more files, to {names[-1]})" if len(names) > 1 else ""
            parts = [names[0] and names[0] + more, about, message]
            lines.append(f"{now} " + ": ".join(" ".join(part.split()) for part in parts if part) + "\n")
        self._messages = {}
        if lines:
            with files.opened(self.path, "a", encoding="utf-8", errors="surrogateescape") as log:
                log.writelines(lines)
