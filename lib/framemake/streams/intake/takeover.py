"""Going on with the streams that the original importer wrote.

A stream is taken as it is: nothing in its files is changed but a last record that is not whole.
What the files do not hold, its last valid mean and rms, comes from the frames, or from the records (see `past`).
"""

import os

import numpy as np

from ... import files, gwf
from ...errors import BadInput
from .. import records
from . import past, samples


class Takeover:
    """Takes over streams of one site; `finished`: the tree.Files that are done; names: of the streams."""

    def __init__(self, writer, finished, names, site):
        self._writer, self._finished, self._site = writer, finished, site
        self._past = past.Past(finished, names)

    def take(self, name):
        """Add a stream to the state, unless that cannot be; what there is to tell."""
        told = []
        try:
            self._take(name, told)
        except (past.Refused, BadInput) as refused:
            told.append(f"cannot be taken over: {refused}")
        return told

    def _take(self, name, told):
        path = os.path.join(self._writer.folder, name)
        former = self._writer.former.get(name)
        info = self._info(name, path, told)
        dtype = records.record(info.datatype)
        kept, torn = _items(path + records.BIN, dtype)
        index, _ = _items(path + records.INDEX_BIN, records.INDEX)
        if torn:
            told.append("its last record was not whole: cut off")
        rate = former["rate"] if former else self._rate(name, told)
        if len(kept) and not all(np.isfinite(kept[field][-1]) for field in ("sum", "square")):
            raise past.Refused("its sums are not finite; to begin it anew move its files away")
        prior = self._past.prior(name, rate, info.datatype, kept, index)
        if name in self._past.guessed:
            told.append("taken over; its last valid mean and rms are known but for rounding")
        os.truncate(path + records.BIN, prior.records * dtype.itemsize)
        if os.path.exists(path + records.INDEX_BIN):
            os.truncate(path + records.INDEX_BIN, prior.entries * records.INDEX.itemsize)
        counts = prior.records, prior.entries
        self._writer.begin(name, info, rate, self._site, prior.running, counts, there=True)

    def _info(self, name, path, told):
        """The Info of a stream; one that is not whole is written anew, as the frames tell it."""
        try:
            with open(path + records.INFO, encoding="utf-8", errors="surrogateescape") as source:
                return records.parse_info(source.read(), path + records.INFO)
        except (FileNotFoundError, BadInput):
            _, found = self._newest(name)
            if found is None or found.calibration is None:
                raise past.Refused("its .info is not whole, and no frame tells it") from None
        told.append("its .info was not whole: written anew")
        calibration = found.calibration
        info = records.Info(found.datatype, calibration.nbits, calibration.bias, calibration.slope, calibration.units)
        files.write(path + records.INFO, records.info_text(info))
        return info

    def _rate(self, name, told):
        file, found = (None, None) if records.rates().get(records.subsystem(name)) else self._newest(name)
        rate, message = samples.rate_of(name, file and file.path, found and found.channel)
        if message:
            told.append(message)
        return rate

    def _newest(self, name):
        """The newest finished file that has a stream, and what it Found there; (None, None) if none has."""
        for file in reversed(self._finished):
            try:
                found = samples.read(file, {name}).found.get(name)
            except (gwf.BadFrame, OSError):
                continue
            if found:
                return file, found
        return None, None


def _items(path, dtype):
    """(whole items, whether one was not whole) of a file, which may be absent."""
    try:
        size = os.path.getsize(path)
    except FileNotFoundError:
        size = 0
    count, rest = divmod(size, dtype.itemsize)
    items = np.memmap(path, dtype, mode="r", shape=(count,)) if count else np.zeros(0, dtype)
    return items, bool(rest)
