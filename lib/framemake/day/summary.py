"""What a day holds, for people and scripts: summary.json, channel lists and coverage, from the day file alone."""

import collections
import contextlib
import functools
import hashlib
import os

import numpy as np

from .. import files, gps, jsontext
from ..frames import catalog
from . import coverage, dayfile, manifest, statistics
from .dayfile import DayFile
from .folder import Folder


def channel_lists(day: DayFile) -> tuple[list, list, list]:
    """(valid, invalid, pruned): names, and for the last two [(name, reason)], in the order asked for."""
    made = day.provenance
    valid = [name for name in made.channels if name in made.datasets]
    invalid: list = []
    pruned: list = []
    for name, status, reason in made.origin.rejected:
        (invalid if status == "invalid" else pruned).append((name, reason))
    damaged = {name: reason for (_, name), reason in made.account.bad.items() if name}
    for name in made.channels:
        if name in made.datasets:
            continue
        if name in made.account.problems:
            pruned.append((name, made.account.problems[name]))
        elif name in made.account.seen:
            pruned.append((name, "no sample left after masks"))
        elif name in damaged:
            pruned.append((name, f"damaged in each frame that has it: {damaged[name]}"))
        else:
            invalid.append((name, "in no frame"))
    order = {name: at for at, name in enumerate(_requested(day))}
    by_list = lambda entry: order.get(entry[0], len(order))  # noqa: E731
    return valid, sorted(invalid, key=by_list), sorted(pruned, key=by_list)


def _requested(day):
    return day.provenance.origin.requested or day.provenance.channels


def coverage_of(day: DayFile) -> dict[str, dict]:
    """The entries of channels_coverage.json, by channel."""
    totals, masks = day.totals(), day.masks()
    covered = {name: _covered(name, dataset, totals[name], masks[name]) for name, dataset in day.datasets.items()}
    for name, entry in covered.items():
        entry.update(sha256=day.digest_of(name) or None, sha256_span=day.provenance.unit_of(name))
    return covered


def _covered(name, dataset, values, mask):
    rate, dtype, total, start, unit = dataset
    good, gaps = int(values[statistics.COUNT]), mask.count("0")
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
        "min": _number(values[statistics.MIN]),
        "max": _number(values[statistics.MAX]),
        "mean": _number(values[statistics.MEAN]),
        "std": _number(np.sqrt(values[statistics.M2] / good)) if good else None,
        "first_good_gps": start + round(values[statistics.FIRST] / rate, 6),
        "unit": unit,
        "last_good_gps": start + round(values[statistics.LAST] / rate, 6),
    }


def _number(value):
    """A float for JSON, which knows no NaN and no infinity: those are null."""
    value = float(value)
    return value if np.isfinite(value) else None


def write_lists(day: DayFile) -> dict:
    """Write the channel lists and the coverage of a day beside its file; returns the summary."""
    folder = Folder.holding(day.path)
    valid, invalid, pruned = channel_lists(day)
    for kind, names in (
        ("requested", _requested(day)),
        ("valid", valid),
        ("invalid", [name for name, _ in invalid]),
        ("pruned", [name for name, _ in pruned]),
    ):
        files.write_if_changed(folder.channel_list(kind), "".join(f"{name}\n" for name in names))
    reasons = [(name, "invalid", why) for name, why in invalid] + [(name, "pruned", why) for name, why in pruned]
    files.write_if_changed(folder.rejected, "".join("\t".join(entry) + "\n" for entry in reasons))
    covered = coverage_of(day)
    files.write_if_changed(folder.coverage, jsontext.indented({name: covered[name] for name in valid}) + "\n")
    return _summary(day, folder, (len(valid), len(invalid), len(pruned)), covered)


def tell(h5: str) -> None:
    """Write all that a day file tells beside it, and note that the day is done."""
    with dayfile.open_day(h5) as day, manifest.hashing(h5) as digest:
        held = write_lists(day)
    Folder.holding(h5).note_completed(held)
    write(held, h5, digest.result())


def write(summary: dict, h5: str, digest: str) -> None:
    """Write manifest and summary beside a day file: the summary last, as it tells make that the rest is there.

    digest: the SHA-256 of the day file.
    """
    folder, text = Folder.holding(h5), jsontext.indented(summary) + "\n"
    manifest.write(folder, {h5: digest, folder.summary: hashlib.sha256(text.encode()).hexdigest()})
    files.write(folder.summary, text)


def remove(h5: str, digest: str) -> None:
    """Remove an earlier summary of a day file that is to have none, and write the manifest of the rest."""
    folder = Folder.holding(h5)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(folder.summary)
    manifest.write(folder, {h5: digest})


def _summary(day, folder, counts, covered):
    made, window, requested, slots = day.provenance, day.window, set(_requested(day)), day.slots()
    before = folder.state()
    completed = gps.now_utc()
    started = before.get("started_at_utc") or completed
    statuses = collections.Counter(frame.status for frame in made.frames)
    unreadable = made.account.unreadable()
    samples = sum(entry["total_samples"] for entry in covered.values())
    missing = sum(entry["nan_samples"] for entry in covered.values())
    # '1' is the greater character: the greatest over all channels is '1' where any has a sample.
    masks = (np.frombuffer(entry["gwf_mask"].encode(), dtype=np.uint8) for entry in covered.values())
    any_of = functools.reduce(np.maximum, masks).tobytes().decode() if covered else ""
    return {
        "date": gps.day_of(window.start),
        "start_dt_utc": gps.zoned(window.start),
        "end_dt_utc": gps.zoned(window.end),
        "start_gps": window.start,
        "end_gps": window.end,
        "total_seconds": window.duration,
        "ffl_spec": made.origin.ffl_spec,
        "ffl_path": made.origin.ffl_path,
        "increment_size": made.increment,
        "total_chunks": -(-window.duration // made.increment),
        "started_at_utc": started,
        "completed_at_utc": completed,
        "elapsed_time_seconds": gps.seconds_between(started, completed),
        "dataset_size_bytes": os.path.getsize(day.path),
        "requested_channels": len(_requested(day)),
        "valid_channels": counts[0],
        "invalid_channels": counts[1],
        "pruned_channels": counts[2],
        "total_samples": samples,
        "nan_samples": missing,
        "nan_fraction": missing / samples if samples else None,
        "missing_spans_gps": _spans(coverage.missing_spans(slots, any_of, window)) if any_of else [],
        "gwf_mask_gps": _spans(slots),
        "frame_files": {status: statuses[status] for status in catalog.STATUSES},
        "unreadable_frames": len(unreadable),
        "kept_frames": statuses[catalog.KEPT],
        "kept_channels": [name for name in made.datasets if name not in requested],
        "bad_frames": [_bad(made, *entry) for entry in sorted(made.account.bad.items())],
        "unverified_frames": sorted(made.account.unverified),
        "unusable_samples": {name: why for name, why in made.account.problems.items() if name in made.datasets},
        "rate_changes": made.rates_dropped,
        "unit_changes": made.units_dropped,
        "provenance": {
            "version": made.version,
            "channel_list": made.origin.channel_list,
            "channel_list_sha256": made.origin.channel_list_sha256,
            "compression": made.compression,
            **({"source": made.source} if made.source else {}),
            "frames": [_frame(frame, unreadable) for frame in made.frames],
        },
    }


def _spans(found):
    return [[gps.plain(start), gps.plain(end)] for start, end, *_ in found]


def _bad(made, where, reason):
    path, channel = where
    frame = next((frame for frame in made.frames if frame.path == path), None)
    entry = {"path": path, "reason": reason}
    if frame:
        entry.update(gps_start=gps.plain(frame.start), duration=gps.plain(frame.duration))
    if channel:
        entry["channel"] = channel
    return entry


def _frame(frame, unreadable):
    # Of one at a URL the time may not be known, and is 0.
    known = frame.mtime > 0 if frame.is_remote else frame.mtime >= 0
    return {
        "path": frame.path,
        "gps_start": gps.plain(frame.start),
        "duration": gps.plain(frame.duration),
        "size_bytes": frame.size if frame.size >= 0 else None,
        "mtime": frame.mtime / 1e9 if known else None,
        "status": "unreadable" if frame.path in unreadable else frame.status,
    }
