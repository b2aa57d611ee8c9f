"""Reading the files of one site into batches, and appending the batches to the site's streams.

A channel keeps the type, slope and bias that it had when its stream began, as the .info file holds one of each for the
whole stream.  Samples under another slope or bias would be read wrong, so they are left out, and the error log says so;
what is stored stays as it is.  To begin the stream anew, move its three files away.
"""

from collections.abc import Collection, Iterable

import numpy as np

from ... import gwf
from ...errors import wording
from .. import records
from . import samples, sums, tree
from .batch import Batch, Fitting
from .journal import Journal
from .writing import StreamState, Writer

# So many ways in which channels fit their streams are kept in mind.
_MOST_FITTINGS = 32


class Appender:
    """Reads files of one site, and appends what they hold to its streams.

    new: names of the files that were not read before, are to be tried again, or have been replaced since.  Only these
    are logged, and only their faults reported; other files are read again because of late ones.
    replaced: names of those that were in the streams before, as another file.
    """

    def __init__(
        self,
        site: str,
        new: Collection[str],
        writer: Writer,
        journal: Journal,
        replaced: Collection[str] = frozenset(),
    ):
        self.site, self.new, self.writer, self.journal, self.replaced = site, new, writer, journal, replaced
        # What the new files were when they were read; whether the system did not give some file, now or for a while.
        self._stamps: dict[str, tree.Stamp] = {}
        self.unread = False
        # Streams that are to begin, streams that get no sample with the reason, and how many files were logged.
        self._beginning: dict[str, StreamState] = {}
        self._held_back: dict[str, str] = {}
        self._logged = 0
        # By the key of a samples.Alike: those whose streams take their samples, and (channel, why not) of the others.
        self._fittings: dict[tuple, tuple[list[str], Fitting, list[tuple[str, str]]]] = {}

    def hold_back(self, name: str, reason: str) -> None:
        """Let no sample into a stream in this import; the error log says the reason of each file that has some."""
        self._held_back[name] = reason
        self._fittings.clear()

    # --- reading ----------------------------------------------------------------------------

    def read(self, file: tree.TrendFile, batch: Batch, wanted: Collection[str] | None = None) -> None:
        """Add what a file holds of all streams, or of those in `wanted`, to a batch; report its faults if it is new."""
        new = file.name in self.new
        batch.read += 1
        stamp = tree.stamp_of(file.path)
        try:
            together, contents = samples.gather(file, wanted)
        except (gwf.BadFrame, OSError) as error:
            self.refuse(file, error, stamp)
            return
        finally:
            self.journal.step()
        faults = list(contents.faults)
        for alike in together:
            fitting, wrong = self._fitting(alike, file)
            faults += wrong
            if fitting.streams:
                batch.add_alike(fitting, alike.frames, file)
        for name, found in contents.found.items():
            reason = self._misfit(name, found, file)
            if reason:
                faults.append((found.channel, reason))
            else:
                batch.add(name, found, file)
        if not new:
            return
        batch.good.append(file)
        self._stamps[file.name] = stamp
        if not faults:
            self.writer.fault(file.name, None)
        elif gwf.refusal(file.path):
            stamp = stamp.never()
        for channel, reason in faults:
            self.journal.fault(file, reason, stamp, channel)

    def refuse(self, file: tree.TrendFile, error: Exception, stamp: tree.Stamp) -> None:
        """Note that a file of this stamp could not be read, and report it if it is new."""
        refused = wording(error) if isinstance(error, OSError) else gwf.refusal(file.path)
        self.unread = self.unread or bool(refused)
        if file.name in self.new:
            self.journal.fault(file, refused or wording(error), stamp.never() if refused else stamp)

    def _fitting(self, alike, file):
        """(the Fitting of channels that are alike, [(channel, why its samples cannot go into its stream)])."""
        if alike.key not in self._fittings:
            good, wrong = [], []
            for number, (name, found) in enumerate(alike.trends().items()):
                reason = self._misfit(name, found, file)
                if reason:
                    wrong.append((found.channel, reason))
                else:
                    good.append(number)
            streams, channels = ([names[at] for at in good] for names in (alike.streams, alike.channels))
            if len(self._fittings) >= _MOST_FITTINGS:
                self._fittings.clear()
            # The key has the identity of the list of streams, which is kept as long as it.
            self._fittings[alike.key] = alike.streams, Fitting(streams, channels, np.array(good, np.int64)), wrong
        return self._fittings[alike.key][1:]

    def _misfit(self, name, found, file):
        """Why the samples of a channel cannot go into its stream; '' if they can."""
        if name in self._held_back:
            return self._held_back[name]
        stream = self.writer.streams.get(name) or self._beginning.get(name) or self._begin(name, found, file)
        if found.datatype != stream.info.datatype:
            return f"values of type {found.datatype}, its stream holds {stream.info.datatype}"
        if stream.site != self.site:
            return f"its stream is of {stream.site}"
        if any(sums.raw(piece.interval, stream.rate) < 1 for piece in found.pieces):
            return f"samples are closer than its {stream.rate:g} raw samples a second"
        now, then = found.calibration, stream.info
        # An .info file of the original importer holds six digits.
        if now and (now.slope, now.bias) != (then.slope, then.bias) and _six_digits(now) != _six_digits(then):
            became = f"slope {now.slope:g} and bias {now.bias:g}"
            return f"{became}, its stream has {then.slope:g} and {then.bias:g}: its samples are left out"
        return ""

    def _begin(self, name, found, file):
        """The StreamState of a stream that is to begin with a file."""
        if found.calibration is None:
            # A channel that is no ADC channel has neither; of old formats no reader gives them.
            self.journal.tell(name, "its frame tells no slope and bias: 1 and 0 are taken", file)
        rate, message = samples.choose_rate(name, file.path, found.channel)
        if message:
            self.journal.tell(name, message, file)
        self._beginning[name] = StreamState(found.info, rate, self.site)
        return self._beginning[name]

    # --- writing ----------------------------------------------------------------------------

    def append(self, name: str, batch: Batch) -> None:
        """Append what a batch holds of one stream; it takes effect with the next commit."""
        known = name in self.writer.streams
        stream = self.writer.streams[name] if known else self._beginning[name]
        try:
            made, index, ends = batch.extend(name, stream.running, stream.rate, stream.info.datatype)
        except sums.Overflow:
            for file, channel in batch.sources(name):
                if file.name in self.new:
                    reason = "its running sums would overflow: left out"
                    self.journal.fault(file, reason, tree.stamp_of(file.path), channel)
            return
        if len(made):
            if not known:
                self.writer.begin(name, stream)
            self.writer.append(name, made, index, ends)
            self.journal.count(name, len(made))

    def commit(self, good: Iterable[tree.TrendFile], last: bool) -> None:
        """Commit what was appended, and log the files that are done now; last: no more files of the site follow."""
        self.journal.flush()
        good = list(good)
        read = {file.name: self._stamps[file.name] for file in good if file.name in self._stamps}
        self.writer.commit(self._log_lines(good, last), read)

    def _log_lines(self, good, last):
        """Their lines in the log of files, without those that were done before; '# done' after the site's last."""
        done = self.writer.done
        names = [file.name for file in sorted(good, key=lambda file: file.order) if file.name not in done]
        done.update(names)
        self.journal.files += len(names)
        self._logged += len(names)
        return [*names, "# done"] if last and self._logged else names


def _six_digits(calibration: gwf.Calibration | records.Info) -> tuple[str, str]:
    return f"{calibration.slope:g}", f"{calibration.bias:g}"
