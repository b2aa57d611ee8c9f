"""What a day holds, told: summary.json, the channel lists, the coverage, from the day file alone."""

import collections
import contextlib
import functools
import json
import os

import h5py
import numpy as np

from .. import files, gps
from ..errors import BadInput
from ..frames import catalog
from ..gps import Window
from . import coverage, layout
from .folder import Folder


class Day:
    """What a day file says of itself: inputs, datasets' rates and dtypes, statistics, masks."""

    def __init__(self, path):
        self.path = path
        with _open(path) as file:
            try:
                provenance = file[layout.PROVENANCE]
                self.inputs = json.loads(provenance["inputs"][()])
                pairs, gave = provenance["pairs"][()].tolist(), provenance["gave"][()]
                tables = [
                    (table["members"][()].tolist(), table["values"][()]) for table in provenance["statistics"].values()
                ]
            except KeyError:
                raise BadInput(f"not a day file of this project: {path!r}") from None
        # By name: rate in Hz, dtype, samples, t0, unit.
        self.datasets = self.inputs["datasets"]
        self.window = Window(*self.inputs["window"])
        self.frames = [catalog.Frame(*frame) for frame in self.inputs["frames"]]
        self.slots = catalog.slots(self.frames, self.window)
        self.masks = dict(zip(self.inputs["read"], coverage.masks(self.frames, self.window, pairs, gave), strict=True))
        self.statistics = {}
        for members, values in tables:
            for member, combined in zip(members, coverage.combine(values), strict=True):
                self.statistics[self.inputs["read"][member]] = combined

    def channel_lists(self):
        """(valid, invalid, pruned): names, and for the last two [(name, reason)], in the order asked for."""
        valid = [name for name in self.inputs["read"] if name in self.datasets]
        invalid, pruned = [], []
        for name, status, reason in self.inputs["rejected"]:
            (invalid if status == "invalid" else pruned).append((name, reason))
        seen, problems = set(self.inputs["seen"]), self.inputs["problems"]
        for name in self.inputs["read"]:
            if name in self.datasets:
                continue
            if name in problems:
                pruned.append((name, problems[name]))
            elif name in seen:
                pruned.append((name, "no sample left after masks"))
            else:
                invalid.append((name, "in no frame"))
        order = {name: at for at, name in enumerate(self.inputs["requested"] or self.inputs["read"])}
        by_list = lambda entry: order.get(entry[0], len(order))  # noqa: E731
        return valid, sorted(invalid, key=by_list), sorted(pruned, key=by_list)

    def coverage_of(self, name):
        """The entry of a channel in channels_coverage.json."""
        rate, dtype, total, start, unit = self.datasets[name]
        values, mask = self.statistics[name], self.masks[name]
        good, gaps = int(values[coverage.COUNT]), mask.count("0")
        return {
            "channel_name": name,
            "sample_rate": rate,
            "dtype": dtype,
            "total_samples": total,
            "nan_samples": total - good,
            "non_nan_samples": good,
            "nan_fraction": (total - good) / total,
            "gwf_gaps": gaps,
            "gwf_mask": mask,
            "missing_fraction": gaps / len(mask),
            "min": _number(values[coverage.MIN]),
            "max": _number(values[coverage.MAX]),
            "mean": _number(values[coverage.MEAN]),
            "std": _number(np.sqrt(values[coverage.M2] / good)) if good else None,
            "first_good_gps": start + round(values[coverage.FIRST] / rate, 6),
            "unit": unit,
            "last_good_gps": start + round(values[coverage.LAST] / rate, 6),
        }


def _open(path):
    try:
        return h5py.File(path, "r")
    except FileNotFoundError:
        raise BadInput(f"no such file: {path!r}") from None
    except OSError as error:
        raise BadInput(f"cannot be read as HDF5: {path!r}: {' '.join(str(error).split())[:120]}") from None


def _number(value):
    """A float for JSON, which knows no NaN and no infinity: those are null."""
    value = float(value)
    return value if np.isfinite(value) else None


def write_lists(day: "Day") -> dict:
    """Write the channel lists and the coverage of a day beside its file; returns the summary."""
    folder = Folder.holding(day.path)
    valid, invalid, pruned = day.channel_lists()
    requested = day.inputs["requested"] or day.inputs["read"]
    for name, names in (
        ("requested", requested),
        ("valid", valid),
        ("invalid", [name for name, _ in invalid]),
        ("pruned", [name for name, _ in pruned]),
    ):
        files.write_if_changed(folder.channel_list(name), "".join(f"{n}\n" for n in names))
    reasons = [(name, "invalid", why) for name, why in invalid] + [(name, "pruned", why) for name, why in pruned]
    files.write_if_changed(folder.rejected, "".join("\t".join(entry) + "\n" for entry in reasons))
    covered = {name: day.coverage_of(name) for name in valid}
    files.write_if_changed(folder.coverage, json.dumps(covered, indent=1) + "\n")
    return _summary(day, folder, requested, valid, invalid, pruned, covered)


def write(told, h5):
    """Write the summary beside its day file: last, as it tells make that the rest is there."""
    files.write(Folder.holding(h5).summary, json.dumps(told, indent=1) + "\n")


def remove(h5):
    """Remove an earlier summary of a day file that is to have none."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(Folder.holding(h5).summary)


def _summary(day, folder, requested, valid, invalid, pruned, covered):
    inputs, window = day.inputs, day.window
    before = folder.state()
    completed = gps.now_utc()
    started = before.get("started_at_utc") or completed
    statuses = collections.Counter(frame.status for frame in day.frames)
    unreadable = {path for path, name, _ in inputs["bad"] if not name}
    samples = sum(entry["total_samples"] for entry in covered.values())
    missing = sum(entry["nan_samples"] for entry in covered.values())
    # '1' is the greater character: the greatest over all channels is '1' where any has a sample.
    masks = (np.frombuffer(day.masks[name].encode(), dtype=np.uint8) for name in valid)
    no_file = functools.reduce(np.maximum, masks).tobytes().decode() if valid else ""
    return {
        "date": gps.day_of(window.start),
        "start_dt_utc": gps.utc(window.start),
        "end_dt_utc": gps.utc(window.end),
        "start_gps": window.start,
        "end_gps": window.end,
        "total_seconds": window.duration,
        "ffl_spec": inputs["ffl_spec"],
        "ffl_path": inputs["ffl_path"],
        "increment_size": inputs["increment"],
        "total_chunks": -(-window.duration // inputs["increment"]),
        "started_at_utc": started,
        "completed_at_utc": completed,
        "elapsed_time_seconds": gps.seconds_between(started, completed),
        "dataset_size_bytes": os.path.getsize(day.path),
        "requested_channels": len(requested),
        "valid_channels": len(valid),
        "invalid_channels": len(invalid),
        "pruned_channels": len(pruned),
        "total_samples": samples,
        "nan_samples": missing,
        "nan_fraction": missing / samples if samples else None,
        "missing_spans_gps": coverage.missing_spans(day.slots, no_file) if no_file else [],
        "frame_files": {status: statuses[status] for status in catalog.STATUSES},
        "unreadable_frames": len(unreadable),
        "bad_frames": [_bad(day, entry) for entry in inputs["bad"]],
        "rate_changes": inputs["grids_dropped"],
        "unit_changes": inputs["units_dropped"],
        "provenance": {
            "version": inputs["version"],
            "channel_list": inputs["channel_list"],
            "channel_list_sha256": inputs["channel_list_sha256"],
            "compression": inputs["compression"],
            "frames": [_frame(frame, unreadable) for frame in day.frames],
        },
    }


def _bad(day, entry):
    path, channel, reason = entry
    frame = next((frame for frame in day.frames if frame.path == path), None)
    told = {"path": path, "reason": reason}
    if frame:
        told.update(gps_start=frame.start, duration=frame.duration)
    if channel:
        told["channel"] = channel
    return told


def _frame(frame, unreadable):
    return {
        "path": frame.path,
        "gps_start": frame.start,
        "duration": frame.duration,
        "size_bytes": frame.size if frame.size >= 0 else None,
        "mtime": frame.mtime / 1e9 if frame.mtime >= 0 else None,
        "status": "unreadable" if frame.path in unreadable else frame.status,
    }
