"""The import of one site's files into its streams.

Files are read in time order, in batches of files that do not overlap files of another batch; each stream is
written once a batch, and a batch is one commit.  Files that begin before the end of what is stored are
late: see `late`.

A channel keeps the type, slope and bias that it had when its stream began, as the .info file holds one of each for the
whole stream.  Samples under another slope or bias would be read wrong, so they are left out, and told; what
is stored stays as it is.  To begin the stream anew, move its three files away.
"""

import os
from typing import NamedTuple

from ... import gwf
from ...errors import wording
from .. import records, store
from . import late, samples, sums, takeover, tree


class Site:
    """The import of one site's files."""

    def __init__(self, run, site):
        self.run, self.site, self.writer = run, site, run.writer
        self.listing, self.strays = run.trees[site]
        self.new = {file.name for file in self.listing if self._is_new(file)}
        self._shapes, self._held_back, self._logged = {}, {}, 0

    def go(self):
        self._tell_strays()
        self._take_over()
        held = self.writer.streams
        damaged = {name for name in self.writer.damaged if held[name]["site"] == self.site}
        if not self.new and not damaged:
            return
        todo = [cluster for cluster in tree.clusters(self.usable()) if any(file.name in self.new for file in cluster)]
        reach = max((self.reach(name) for name in held if held[name]["site"] == self.site), default=0.0)
        behind = [cluster for cluster in todo if cluster[0].start < reach]
        ahead = todo[len(behind) :]
        if behind or damaged:
            late.Late(self, behind, damaged).go(last=not ahead)
        if ahead:
            self._append_all(ahead)

    # --- what there is to do ----------------------------------------------------------------

    def _is_new(self, file):
        """Whether a file is to be read: not done, or changed since something in it could not be used, or be had."""
        known = self.writer.faults.get(file.name)
        return known != samples.stamp_of(file.path) if known else file.name not in self.writer.done

    def usable(self):
        """The files that are new or were read before, in order of their start."""
        writer = self.writer
        return [f for f in self.listing if f.name in self.new or f.name in writer.done or f.name in writer.faults]

    def reach(self, name):
        """GPS time up to which a stream has samples."""
        return sums.Running(*self.writer.streams[name]["running"]).reach

    def _tell_strays(self):
        for path in self.strays:
            name, stamp = os.path.relpath(path, self.run.root), samples.stamp_of(path)
            if self.writer.faults.get(name) != stamp:
                self.run.tell(None, f"no frame file of this place in the tree, left out: {name!r}")
                self.run.faulty.add(name)
                self.writer.fault(name, stamp)

    def _take_over(self):
        """Go on with the streams of a folder that the original importer began, as it left them."""
        unknown = [name for name in store.visible(self.run.folder) if name not in self.writer.streams]
        unknown = {name for name in unknown if site_of(name) == self.site}
        if not unknown or not self.new:
            return
        taker = takeover.Takeover(self.writer, [f for f in self.listing if f.name not in self.new], unknown, self.site)
        for name in sorted(unknown):
            for message in taker.take(name):
                self.run.tell(name, message)
            if name not in self.writer.streams:
                self._held_back[name] = "its stream cannot be taken over"
        self.run.report()
        self.writer.commit()

    # --- reading ----------------------------------------------------------------------------

    def read(self, file, batch, wanted=None):
        """Add what a file gives to a batch: all streams, or those in `wanted`; faults are told if the file is new."""
        new = file.name in self.new
        batch.read += 1
        stamp = samples.stamp_of(file.path)
        try:
            contents = samples.read(file, wanted)
        except (gwf.BadFrame, OSError) as error:
            if new:
                refused = gwf.refusal(file.path)
                self.run.fault(file, refused or wording(error), samples.passing(stamp) if refused else stamp)
            return
        finally:
            self.run.step()
        faults = list(contents.faults)
        for name, found in contents.found.items():
            reason = self._misfit(name, found, file)
            if reason:
                faults.append((found.channel, reason))
            else:
                batch.add(name, found, file)
        if not new:
            return
        batch.good.append(file)
        if not faults:
            self.writer.fault(file.name, None)
        elif gwf.refusal(file.path):
            stamp = samples.passing(stamp)
        for channel, reason in faults:
            self.run.fault(file, reason, stamp, channel)

    def _misfit(self, name, found, file):
        """Why the samples of a channel cannot go into its stream; None if they can."""
        if name in self._held_back:
            return self._held_back[name]
        shape = self._shapes.get(name)
        if shape is None:
            held = self.writer.streams.get(name)
            if held is None:
                shape = self._new_shape(name, found, file)
            else:
                shape = Shape(records.Info(*held["info"]), held["rate"], held["site"])
            self._shapes[name] = shape
        if found.datatype != shape.info.datatype:
            return f"values of type {found.datatype}, its stream holds {shape.info.datatype}"
        if shape.site != self.site:
            return f"its stream is of {shape.site}"
        if any(sums.raw(piece.interval, shape.rate) < 1 for piece in found.pieces):
            return f"samples are closer than its {shape.rate:g} raw samples a second"
        told, held = found.calibration, shape.info
        # An .info file of the original importer holds six digits.
        if told and (told.slope, told.bias) != (held.slope, held.bias) and _digits(told) != _digits(held):
            told = f"slope {told.slope:g} and bias {told.bias:g}"
            return f"{told}, its stream has {held.slope:g} and {held.bias:g}: its samples are left out"
        return None

    def _new_shape(self, name, found, file):
        """The Shape of a stream that is to begin with a file."""
        told = found.calibration
        if told is None:
            # What is no ADC channel has neither; of old formats no reader tells it.
            bits = 8 * found.pieces[0].mean.dtype.itemsize
            info = records.Info(found.datatype, bits, 0.0, 1.0, "")
            self.run.tell(name, "its frame tells no slope and bias: 1 and 0 are taken", file)
        else:
            info = records.Info(found.datatype, told.nbits, told.bias, told.slope, told.units)
        rate, message = samples.rate_of(name, file.path, found.channel)
        if message:
            self.run.tell(name, message, file)
        return Shape(info, rate, self.site)

    # --- writing ----------------------------------------------------------------------------

    def _append_all(self, ahead):
        batch = samples.Batch()
        for cluster in ahead:
            if batch.full:
                self._finish(batch)
                batch = samples.Batch()
            for file in cluster:
                if file.name in self.new:
                    self.read(file, batch)
        self._finish(batch, last=True)

    def _finish(self, batch, last=False):
        """Append what a batch holds, and commit it."""
        for name in batch.pieces:
            self.append(name, batch)
        self.run.report()
        self.writer.commit(self.lines(batch.good, last))

    def append(self, name, batch):
        """Append what a batch holds of one stream."""
        shape, held = self._shapes[name], self.writer.streams.get(name)
        running = sums.Running(*held["running"]) if held else sums.Running()
        try:
            made, index, ends = sums.extend(running, shape.rate, shape.info.datatype, batch.pieces[name])
        except sums.Overflow:
            self.overflow(name, batch)
            return
        if len(made):
            if held is None:
                self.writer.begin(name, shape.info, shape.rate, self.site)
            self.writer.append(name, made, index, ends)
            self.count(name, len(made))

    def overflow(self, name, batch):
        for file, channel in batch.sources[name]:
            if file.name in self.new:
                self.run.fault(file, "its running sums would overflow: left out", samples.stamp_of(file.path), channel)

    def count(self, name, made):
        self.run.records += made
        self.run.grown.add(name)

    def lines(self, good, last):
        """The lines of the log for files that are done now; those done before have theirs.  The last are marked."""
        done = self.writer.done
        names = [file.name for file in sorted(good, key=lambda file: file.order) if file.name not in done]
        done.update(names)
        self.run.files += len(names)
        self._logged += len(names)
        return [*names, "# done"] if last and self._logged else names

    def hold_back(self, name, reason):
        """Let no sample into a stream in this run; later files tell the reason."""
        self._held_back[name] = reason


class Shape(NamedTuple):
    """What the samples of a stream must be."""

    info: records.Info
    rate: float
    site: str


def site_of(name):
    """The site whose tree has a stream that only its name is known of."""
    return tree.SITES[name.startswith("L")]


def _digits(calibration):
    return f"{calibration.slope:g}", f"{calibration.bias:g}"
