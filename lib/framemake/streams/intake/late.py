"""Files that come late: the end of each stream that they touch is made again from the frames.

A stream's end is made from the start of the first late file on, of all frames that were ever read, into files beside
it, and takes the place of the old end at once.  Where that only adds to what is stored, it is appended; where it
changes nothing (minute trend of an hour that second trend covers), nothing is written.  Where a stored valid record
would be lost, because frames that gave it are no longer there, the stream stays as it is, and the late file is told
and not logged as done.  Streams whose files hold less than was committed are mended in the same way.
"""

import math
from typing import NamedTuple

import numpy as np

from ... import gwf
from .. import records
from . import past, samples, sums, tree, writing

# Bytes of new files that may wait for one commit: the room on the disk that they need besides.
_WAITING = 1 << 31
_CHUNK = 1 << 16


class Target(NamedTuple):
    """What is made again of one stream: what stays, where the rest goes, and the spans of its samples."""

    prior: past.Prior
    tail: writing.Tail
    spans: list


class Late:
    """The late files of a site: `behind`, clusters with new files; `damaged`: names of streams to mend."""

    def __init__(self, site, behind, damaged):
        self.site, self.writer, self.damaged = site, site.writer, damaged
        self.clusters = tree.clusters(site.usable())
        self.behind = {file.name for cluster in behind for file in cluster if file.name in site.new}
        self.targets, self.ends, self.refused, self.sources, self.was = {}, {}, {}, {}, {}

    def go(self, last):
        """Put the late files in their place; last: no other files of the site come after them."""
        cuts = self._cuts()
        self.was = {name: sums.Running(*self.writer.streams[name]["running"]).last for name in self.damaged}
        before = past.Past([file for file in self.site.usable() if file.name not in self.site.new], set(cuts))
        for name, cut in sorted(cuts.items()):
            held = self.writer.streams[name]
            dtype = records.record(held["info"][0])
            kept, index = self._stored(name, dtype)
            try:
                prior = before.prior(name, held["rate"], held["info"][0], kept, index, cut)
            except past.Refused as refused:
                self.refused[name] = str(refused)
                continue
            self.targets[name] = Target(prior, self.writer.tail(name, dtype), [])
            self.ends[name] = prior.running
        good = self._make(cuts)
        self._put()
        for name, reason in self.refused.items():
            self._tell(name, reason, good)
        self.site.run.report()
        self.writer.commit(self.site.lines(good, last))

    # --- what is made again -----------------------------------------------------------------

    def _cuts(self):
        """{stream: GPS time from which it is made again}, always the start of a cluster of files, or the damage."""
        cuts = {}
        for cluster in self.clusters:
            new = [file for file in cluster if file.name in self.behind]
            for name in set().union(*map(self._names, new)):
                if name in self.writer.streams and self.site.reach(name) > cluster[0].start:
                    cuts.setdefault(name, cluster[0].start)
        for name in self.damaged:
            cuts[name] = min(cuts.get(name, math.inf), self._damage(name))
        return cuts

    @staticmethod
    def _names(file):
        try:
            return samples.streams_of(file.path)
        except (gwf.BadFrame, OSError):
            return set()  # reading it tells why

    def _damage(self, name):
        """From when on a stream that holds too little is made again: where its last record, or entry, is from."""
        kept, index = self._stored(name, records.record(self.writer.streams[name]["info"][0]))
        if not len(kept) or not len(index):
            return -math.inf
        last = float(kept["time"][-1])
        if len(index) < self.writer.streams[name]["entries"]:
            last = min(last, float(index["time"][-1]))
        for cluster in self.clusters:
            if cluster[0].start <= last < max(file.end for file in cluster):
                return cluster[0].start
        return math.nextafter(last, math.inf)

    def _stored(self, name, dtype):
        return self.writer.committed(name, dtype), self.writer.committed(name, records.INDEX, records.INDEX_BIN)

    def _make(self, cuts):
        """Read the frames and write the tails; the late files that are done."""
        reads = []
        for cluster in self.clusters:
            wanted = {name for name in self.targets if cuts[name] <= cluster[0].start}
            files = [f for f in cluster if f.name in self.behind or (wanted and f.name not in self.site.new)]
            if files:
                reads.append((files, wanted))
        self.site.run.total += sum(file.name not in self.behind for files, _ in reads for file in files)
        batch, good = samples.Batch(), []
        for files, wanted in reads:
            for file in files:
                self.site.read(file, batch, None if file.name in self.behind else wanted)
            if batch.full:
                good += self._flush(batch)
                batch = samples.Batch()
        return good + self._flush(batch)

    def _flush(self, batch):
        for name, pieces in batch.pieces.items():
            late = [(file, channel) for file, channel in batch.sources[name] if file.name in self.behind]
            self.sources.setdefault(name, []).extend(late)
            if name in self.refused:
                continue
            if name not in self.targets:
                self.site.append(name, batch)
                continue
            held, target, ends = self.writer.streams[name], self.targets[name], self.ends[name]
            try:
                made, index, self.ends[name] = sums.extend(ends, held["rate"], held["info"][0], pieces)
            except sums.Overflow:
                self.refused[name] = "its running sums would overflow"
                continue
            target.tail.append(made, index)
            for at, low, high in sums.arrange(pieces, ends.reach if ends.last > 0 else -math.inf):
                begin, step = pieces[at].start, pieces[at].interval
                target.spans.append((begin + low * step, begin + high * step, step))
        return batch.good

    # --- where it goes ----------------------------------------------------------------------

    def _put(self):
        """Let each tail take the place of the old end, or leave that as it is."""
        waiting = 0
        for name, (prior, tail, spans) in self.targets.items():
            if name in self.refused:
                continue
            held = self.writer.streams[name]
            dtype = records.record(held["info"][0])
            kept, index = self._stored(name, dtype)
            old, entries = kept[prior.records :], index[prior.entries :]
            made, listed = tail.read()
            if begins(made, old) and begins(listed, entries):
                tail.drop()
                if len(made) > len(old) or len(listed) > len(entries) or name in self.damaged:
                    self.writer.append(name, made[len(old) :], listed[len(entries) :], self.ends[name])
                    self.site.count(name, len(made) - len(old))
            elif past.lost(old, spans):
                self.refused[name] = "the frames of what is stored after it are gone"
                tail.drop()
                continue
            else:
                self.writer.replace(name, prior, tail, self.ends[name])
                self.site.count(name, max(len(made) - len(old), 0))
                waiting += prior.records * dtype.itemsize + made.nbytes
                if waiting > _WAITING:
                    self.writer.commit()
                    waiting = 0
            if name in self.damaged and self.ends[name].last < self.was[name]:
                self.site.run.tell(name, "held less than was committed, and the frames that are there mend it in part")

    def _tell(self, name, reason, good):
        """Tell which late files a stream stays without; they are not done."""
        for file, channel in self.sources.get(name, []):
            message = f"comes too late to be put in its place, {reason}"
            self.site.run.fault(file, message, samples.stamp_of(file.path), channel)
            good[:] = [each for each in good if each.name != file.name]
        if name in self.damaged:
            self.site.run.tell(name, f"holds less than was committed, and cannot be mended: {reason}")
            self.site.hold_back(name, "its stream holds less than was committed")


def begins(made, old):
    """Whether `old` is what `made` begins with, byte for byte."""
    if len(made) < len(old):
        return False
    spans = ((at, min(at + _CHUNK, len(old))) for at in range(0, len(old), _CHUNK))
    return all(np.array(made[a:b]).tobytes() == np.array(old[a:b]).tobytes() for a, b in spans)
