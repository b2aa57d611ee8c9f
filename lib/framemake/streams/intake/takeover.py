"""Going on with the streams that the original importer wrote.

A stream is taken as it is: nothing in its files is changed but a last record that is not whole.
What the files do not hold, its last valid mean and rms, comes from the frames, or from the records (see `past`).
"""

import os
from collections.abc import Collection

import numpy as np

from ... import files, gwf
from ...errors import BadInput
from .. import records, store
from . import disk, past, samples, tree, writing


class Takeover:
    """Takes over streams of one site, of which the writer knows nothing."""

    def __init__(self, site: str, finished: list[tree.TrendFile], names: Collection[str], writer: writing.Writer):
        """finished: the files of the site that are done, in order of their start; names: of the streams."""
        self._site, self._finished, self._writer = site, finished, writer
        self._past = past.Past(finished, names)

    def take(self, name: str) -> list[str]:
        """Let the writer adopt a stream, unless that cannot be; what there is to tell of it."""
        messages: list[str] = []
        try:
            self._take(name, messages)
        except (past.PastUnknown, BadInput) as reason:
            messages.append(f"cannot be taken over: {reason}")
        return messages

    def _take(self, name, messages):
        path = os.path.join(self._writer.folder, name)
        former = self._writer.former.get(name)
        info = self._info(name, path, messages)
        dtype = records.record(info.datatype)
        kept, torn = _items(path + records.BIN, dtype)
        index, _ = _items(path + records.INDEX_BIN, records.INDEX)
        if torn:
            messages.append("its last record was not whole: cut off")
        rate = former.rate if former else self._rate(name, messages)
        if len(kept) and not all(np.isfinite(kept[field][-1]) for field in ("sum", "square")):
            raise past.PastUnknown("its sums are not finite; to begin it anew move its files away")
        prior = self._past.prior(store.Stream(name, info, rate, kept, index))
        if name in self._past.guessed:
            messages.append("taken over; its last valid mean and rms are known but for rounding")
        os.truncate(path + records.BIN, prior.counts.records * dtype.itemsize)
        if os.path.exists(path + records.INDEX_BIN):
            os.truncate(path + records.INDEX_BIN, prior.counts.entries * records.INDEX.itemsize)
        self._writer.adopt(name, writing.StreamState(info, rate, self._site, prior.counts, prior.running))

    def _info(self, name, path, messages):
        """The Info of a stream; one that is not whole is written anew, as the frames tell it."""
        try:
            return records.parse_info(files.read_text(path + records.INFO), path + records.INFO)
        except (FileNotFoundError, BadInput):
            _, found = self._newest(name)
            if found is None or found.calibration is None:
                raise past.PastUnknown("its .info is not whole, and no frame tells it") from None
        messages.append("its .info was not whole: written anew")
        files.write(path + records.INFO, records.info_text(found.info))
        return found.info

    def _rate(self, name, messages):
        file, found = (None, None) if records.table_rate(name) else self._newest(name)
        rate, message = samples.choose_rate(name, file and file.path, found and found.channel)
        if message:
            messages.append(message)
        return rate

    def _newest(self, name):
        """The newest finished file that has a stream, and what it holds of it; (None, None) if none has."""
        for file in reversed(self._finished):
            try:
                found = samples.read(file, {name}).found.get(name)
            except (gwf.BadFrame, OSError):
                continue
            if found:
                return file, found
        return None, None


def _items(path, dtype):
    """(whole items, whether there is a part of one more) of a file, which may be absent."""
    count, rest = divmod(max(disk.size_of(path), 0), dtype.itemsize)
    return records.mapped(path, dtype, count), bool(rest)
