"""Streams written record by record, by the rule of the format taken literally: what the fast code is held against."""

from pathlib import Path

import numpy as np
from framemake.streams import records
from framemake.streams.records import Info

FLOAT, DOUBLE, INT = Info("float", 32, 0.0, 1.0, ""), Info("double", 64, 0.0, 1.0, ""), Info("int", 32, 0.0, 1.0, "")


class Written:
    """A stream that grows by whole files of samples: times, sums, gaps and index as the importer makes them.

    lengths: seconds of each record's sample, 0 for one that bounds a gap.
    """

    def __init__(self, info=DOUBLE, rate=16):
        self.info, self.rate = info, rate
        self.kind = int if info.datatype == "int" else float
        self.rows, self.index, self.lengths = [], [], []
        self.sums = [self.kind(0), self.kind(0)]
        self.last, self.interval, self.good = 0.0, -1.0, (self.kind(0), self.kind(0))

    def file(self, start, seconds, means, rms=None, missing=True):
        """A file of samples, each `seconds` long; a mean of 0 is no data.  missing: a gap before it is recorded."""
        rms = means if rms is None else rms
        before = len(self.rows)
        if missing and self.last > 0 and start - self.last > self.interval:
            self._add(False, self.last + 1 / self.rate, 1, 0)
            self._add(False, start - 1 / self.rate, int((start - self.last) * self.rate - 2), 0)
        for k, (mean, square) in enumerate(zip(means, rms, strict=True)):
            if mean != 0:
                self.good = self.kind(mean), self.kind(square)
            self._add(mean != 0, start + k * seconds, int(seconds * self.rate), float(seconds))
        interval = float(seconds)
        for _, time, _, _ in self.rows[before:]:
            if abs(time - self.last - interval) >= 1e-8 or (self.index and self.index[-1][1] != time - self.last):
                self.index.append((self.last, time - self.last))
                interval = time - self.last
            self.last = time
        self.interval = float(seconds)
        return self

    def _add(self, good, time, count, length):
        mean, rms = self.good
        self.sums = [self.sums[0] + mean * count, self.sums[1] + rms * rms * count]
        self.lengths.append(length)
        self.rows.append((records.VALID if good else records.INVALID, float(time), *self.sums))

    def records(self):
        return np.array(self.rows, dtype=records.record(self.info.datatype))

    def entries(self):
        return np.array(self.index, dtype=records.INDEX)

    def write(self, folder, name):
        return write(folder, name, self.records(), self.entries(), self.info)


def write(folder, name, kept, index, info):
    """Write the three files of a stream; the path without a suffix."""
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{path}.bin").write_bytes(kept.tobytes())
    Path(f"{path}.index.bin").write_bytes(index.tobytes())
    Path(f"{path}.info").write_text(records.info_text(info))
    return path
