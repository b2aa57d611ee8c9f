"""Files that come late, or again as another file: the end of each stream that they touch is made from the frames anew.

From the start of the first late file on, a stream is made again of all frames that were ever read, into files beside
it; these take the place of the old end at once.  If the new end only adds to the old one, it is appended; if it
changes nothing (minute trend of an hour that second trend covers), nothing is written.  If a stored valid record
would be lost, because its frame is no longer there, the stream stays as it is, and the late file is reported as a
fault and not logged as done.  Streams whose files hold less than was committed are mended in the same way.
"""

import bisect
import math
from collections.abc import Collection, Iterable

import numpy as np

from ... import gwf
from .. import records
from . import past, samples, sums, tree, writing
from .appender import Appender
from .batch import Batch

# A commit comes after so many bytes of new files, which need as much room on the disk besides the old ones.
_WAITING = 1 << 31
_CHUNK = 1 << 16


class _Ending:
    """The end of one stream, made again.

    prior: what stays of the stream, and where that stands; tail: what follows; running: where that stands;
    spans: (GPS start, end, seconds between samples) of the samples that it was made from.
    """

    def __init__(self, prior: past.Prior, tail: writing.Tail):
        self.prior, self.tail = prior, tail
        self.running = prior.running
        self.spans: list[tuple[float, float, float]] = []

    def extend(self, stream: writing.StreamState, pieces: list[sums.FramePiece]) -> None:
        """Add pieces that come after all before; sums.Overflow if a sum cannot hold them."""
        reach = self.running.reach if self.running.last > 0 else -math.inf
        made, index, self.running = sums.extend(self.running, stream.rate, stream.info.datatype, pieces)
        self.tail.append(made, index)
        for at, low, high in sums.arrange(pieces, reach):
            begin, step = pieces[at].start, pieces[at].interval
            self.spans.append((begin + low * step, begin + high * step, step))


class Late:
    """What puts the late files of a site in their place, and mends its damaged streams."""

    def __init__(
        self,
        appender: Appender,
        usable: list[tree.TrendFile],
        behind: Iterable[list[tree.TrendFile]],
        damaged: Collection[str],
    ):
        """usable: all files that are new or were read before; behind: clusters of them in which new ones are late;
        damaged: names of streams to mend."""
        self._appender, self._writer, self._journal = appender, appender.writer, appender.journal
        self._damaged = damaged
        self._clusters = tree.clusters(usable)
        self._behind = {file.name for cluster in behind for file in cluster if file.name in appender.new}
        self._before = [file for file in usable if file.name not in appender.new]
        # By stream: its new end, or why it stays as it is, and the late files that have samples of it.
        self._endings: dict[str, _Ending] = {}
        self._refused: dict[str, str] = {}
        self._sources: dict[str, list[tuple[tree.TrendFile, str]]] = {}

    def go(self, last: bool) -> None:
        """Put the late files in their place, and commit; last: no other files of the site come after them."""
        cuts = self._cuts()
        self._begin(cuts)
        good = self._make(cuts)
        self._put()
        self._tell_left(good)
        undone = self._tell_refused()
        self._appender.commit([file for file in good if file.name not in undone], last)

    # --- what is made again -----------------------------------------------------------------

    def _cuts(self):
        """{stream: GPS time from which it is made again}, always the start of a cluster of files, or the damage."""
        cuts: dict[str, float] = {}
        for cluster in self._clusters:
            late = [file for file in cluster if file.name in self._behind]
            for name in set().union(*map(self._streams_of, late)):
                stream = self._writer.streams.get(name)
                if stream and stream.running.reach > cluster[0].start:
                    cuts.setdefault(name, cluster[0].start)
        for name in self._damaged:
            cuts[name] = min(cuts.get(name, math.inf), self._damage(name))
        return cuts

    def _streams_of(self, file):
        """The streams of a late file; one that does not tell them is reported, and not appended to their ends."""
        stamp = tree.stamp_of(file.path)
        try:
            return samples.streams_of(file.path)
        except (gwf.BadFrame, OSError) as error:
            self._behind.discard(file.name)
            self._appender.refuse(file, error, stamp)
            self._journal.step()
            return set()

    def _damage(self, name):
        """GPS time from which a damaged stream is made again: the start of the files of its last record or entry."""
        there, wanted = self._writer.committed(name), self._writer.streams[name].counts
        if not len(there.records) or not len(there.index):
            return -math.inf
        last = float(there.records["time"][-1])
        if len(there.index) < wanted.entries:
            last = min(last, float(there.index["time"][-1]))
        for cluster in self._clusters:
            if cluster[0].start <= last < max(file.end for file in cluster):
                return cluster[0].start
        return math.nextafter(last, math.inf)

    def _begin(self, cuts):
        """Find where each stream stood at its cut, and give it an _Ending from there on."""
        before = past.Past(self._before, cuts.keys())
        for name, cut in sorted(cuts.items()):
            try:
                prior = before.prior(self._writer.committed(name), cut)
            except past.PastUnknown as unknown:
                self._refused[name] = str(unknown)
            else:
                self._endings[name] = _Ending(prior, self._writer.tail(name))
        self._appender.unread = self._appender.unread or before.unread

    def _make(self, cuts):
        """Read the frames and write the tails; the late files that could be read."""
        reads = []
        for cluster in self._clusters:
            wanted = {name for name in self._endings if cuts[name] <= cluster[0].start}
            files = [f for f in cluster if f.name in self._behind or (wanted and f.name not in self._appender.new)]
            if files:
                reads.append((files, wanted))
        self._journal.total += sum(file.name not in self._behind for files, _ in reads for file in files)
        batch, good = Batch(), []
        for files, wanted in reads:
            for file in files:
                self._appender.read(file, batch, None if file.name in self._behind else wanted)
            if batch.full:
                good += self._extend(batch)
                batch = Batch()
        return good + self._extend(batch)

    def _extend(self, batch):
        """Add what a batch holds to the ends of streams; the late files in it that could be read."""
        for name in batch.streams:
            late = [(file, channel) for file, channel in batch.sources(name) if file.name in self._behind]
            self._sources.setdefault(name, []).extend(late)
            if name in self._refused:
                continue
            if name not in self._endings:
                self._appender.append(name, batch)
                continue
            try:
                self._endings[name].extend(self._writer.streams[name], batch.pieces(name))
            except sums.Overflow:
                self._refused[name] = "its running sums would overflow"
        return batch.good

    # --- where it goes ----------------------------------------------------------------------

    def _put(self):
        """Let each new end take the place of the old one, unless that would lose valid records."""
        waiting = 0
        for name, ending in self._endings.items():
            if name in self._refused:
                continue
            was = self._writer.streams[name].running.last
            waiting += self._put_one(name, ending)
            if waiting > _WAITING:
                self._writer.commit()
                waiting = 0
            if name in self._damaged and name not in self._refused and ending.running.last < was:
                self._journal.tell(name, "held less than was committed, and the frames that are there mend it in part")

    def _put_one(self, name, ending):
        """Append to a stream, replace its end, or refuse; the bytes of new files that wait for a commit."""
        stored, prior = self._writer.committed(name), ending.prior
        old, entries = stored.records[prior.counts.records :], stored.index[prior.counts.entries :]
        made, index = ending.tail.read()
        if begins(made, old) and begins(index, entries):
            ending.tail.drop()
            if len(made) > len(old) or len(index) > len(entries) or name in self._damaged:
                self._writer.append(name, made[len(old) :], index[len(entries) :], ending.running)
                self._journal.count(name, len(made) - len(old))
            return 0
        if past.lost(old, ending.spans):
            self._refused[name] = "the frames of what is stored after it are gone"
            ending.tail.drop()
            return 0
        self._writer.replace(name, prior.counts, ending.tail, ending.running)
        self._journal.rewritten.add(name)
        self._journal.count(name, max(len(made) - len(old), 0))
        return prior.counts.records * made.dtype.itemsize + made.nbytes

    def _tell_left(self, good):
        """Tell which streams keep samples of what a file was that have no part in what it is now."""
        replaced = {file.name for file in good if file.name in self._appender.replaced}
        for cluster in self._clusters:
            files = [file for file in cluster if file.name in replaced]
            if not files:
                continue
            try:
                held = set().union(*(samples.streams_of(file.path) for file in cluster))
            except (gwf.BadFrame, OSError):
                continue  # the error log has said why
            for name, stream in self._writer.streams.items():
                if name in held or name in self._endings or stream.site != self._appender.site:
                    continue
                for file in files:
                    if self._has_valid(name, file):
                        reason = "was replaced by a file without it: what its stream has of it stays"
                        self._journal.fault(file, reason, tree.stamp_of(file.path), name)

    def _has_valid(self, name, file):
        """Whether a stream has a valid record in the span of a file."""
        kept = self._writer.committed(name).records
        first, stop = (bisect.bisect_left(kept["time"], time) for time in (file.start, file.end))
        return bool((kept["valid"][first:stop] == records.VALID).any())

    def _tell_refused(self):
        """Tell which streams stay without which late files; the names of those files, which are not done."""
        undone = set()
        for name, reason in self._refused.items():
            for file, channel in self._sources.get(name, []):
                what = "comes too late to be put in its place"
                if file.name in self._appender.replaced:
                    what = "was replaced, and the new one cannot be put in its place"
                message = f"{what}, {reason}"
                # What the system did not give is perhaps not gone.
                stamp = tree.stamp_of(file.path)
                self._journal.fault(file, message, stamp.never() if self._appender.unread else stamp, channel)
                undone.add(file.name)
            if name in self._damaged:
                self._journal.tell(name, f"holds less than was committed, and cannot be mended: {reason}")
                self._appender.hold_back(name, "its stream holds less than was committed")
        return undone


def begins(made: np.ndarray, old: np.ndarray) -> bool:
    """Whether `old` is what `made` begins with, byte for byte."""
    if len(made) < len(old):
        return False
    spans = ((at, min(at + _CHUNK, len(old))) for at in range(0, len(old), _CHUNK))
    return all(np.array(made[a:b]).tobytes() == np.array(old[a:b]).tobytes() for a, b in spans)
