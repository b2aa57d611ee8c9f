"""What a run has left, to be held against what an undisturbed one leaves: all but times, logs and where it lies.

A test makes `want` once by a run that nobody disturbs, disturbs others, and asks: is what can be seen of them whole at
any moment (check_days, check_streams), and is what they leave in the end the same (days, streams)?
"""

import itertools
import json
from pathlib import Path

from framemake.streams import store

from support import streams as elab
from support.sites import contents

# When it was, how long it took, how often it was tried, how many days had nothing new, how large a file is that holds
# the same: what no two runs need share.
TIMES = {
    "started_at_utc", "finished_at_utc", "completed_at_utc", "elapsed_time_seconds", "started_utc", "finished_utc",
    "run_utc_started", "built", "unchanged", "one_go", "dataset_size_bytes", "retries",
}  # fmt: skip
# What tells what happened, and not what is there.
HISTORIES = {"worker.log", "nightly.json", "ImportData.errors"}


def assert_same(found, want):
    """Two results are the same, else what differs is named: of nested dicts and tuples the keys that lead to it."""
    different = list(_different(found, want, ()))
    assert not different, "\n".join(different[:20])


def _different(found, want, place):
    if isinstance(found, dict) and isinstance(want, dict):
        for key in sorted({*found, *want}):
            yield from _different(found.get(key), want.get(key), (*place, key))
    elif isinstance(found, (list, tuple)) and isinstance(want, (list, tuple)) and len(found) == len(want):
        for number, pair in enumerate(zip(found, want, strict=True)):
            yield from _different(*pair, (*place, number))
    elif found != want:
        yield f"{place}: {str(found)[:1000]} is not {str(want)[:1000]}"


# --- days ----------------------------------------------------------------------------------


def days(out):
    """{path: content} of all files of an output folder, hidden ones too, by their paths in it.

    Of a day file what it holds but its time stamps, of a manifest the names, of JSON the value without
    TIMES, of HISTORIES and locks None.
    The folder's own path reads OUT, so that two folders can be compared.
    """
    out = Path(out)
    return {str(path.relative_to(out)): content(path, out) for path in sorted(out.rglob("*")) if path.is_file()}


def content(path, out):
    """What counts of one file; it must be whole."""
    if path.name in HISTORIES or path.suffix == ".log" or path.name.endswith("lock"):
        return None
    if path.suffix == ".h5":
        return contents(path)
    if path.suffix == ".sha256":
        return [line.split(maxsplit=1)[1] for line in path.read_text().splitlines()]
    text = path.read_bytes().replace(str(out).encode(), b"OUT")
    return without_times(json.loads(text)) if path.suffix == ".json" else text


def without_times(value):
    if isinstance(value, dict):
        return {name: without_times(each) for name, each in value.items() if name not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def check_days(out, *wholes):
    """What can be seen in an output folder at this moment is whole, each file as one of `wholes` has it (see days).

    State and index change in between: of them it is enough that they can be read.
    """
    out = Path(out)
    for path in sorted(out.rglob("*")) if out.exists() else ():
        name = str(path.relative_to(out))
        if not path.is_file() or any(part.startswith(".") for part in Path(name).parts):
            continue
        try:
            found = content(path, out)
        except FileNotFoundError:
            continue  # it was replaced, or removed, while we looked
        assert any(name in whole for whole in wholes), f"no run leaves such a file: {name}"
        known = [whole.get(name) for whole in wholes]
        if path.name not in ("state_day.json", "index.json") and found not in known:
            said = [line for each in known for line in itertools.islice(_different(found, each, ()), 5)]
            raise AssertionError("\n".join([f"neither the old content nor the new one: {name}", *said]))


def made(out):
    """{path: (inode, time of change)} of what can be seen of the days: what another writing of the same changes."""
    out = Path(out)
    found = {path: path.stat() for path in out.rglob("V1*/**/*") if path.is_file() and ".work" not in path.parts}
    return {str(path.relative_to(out)): (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}


# --- streams -------------------------------------------------------------------------------


def streams(folder):
    """All that an import has left: the bytes of the streams, the frame files that are logged, the names of the rest."""
    folder = Path(folder)
    rest = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return elab.contents(folder), sorted(elab.logged(folder)), rest - HISTORIES


def opened(folder):
    """{stream: (records, index)} as readers see them at this moment, as bytes."""
    found = {}
    for name in store.names(str(folder)) if Path(folder).is_dir() else ():
        stream = store.open_stream(str(folder), name)
        found[name] = stream.records.tobytes(), stream.index.tobytes()
    return found


def check_streams(folder, before, after):
    """Readers see each stream as it was before, or the beginning of what it will be; both as opened gives them."""
    for name, seen in opened(folder).items():
        # What was late is committed before what is new is appended to it.
        begins = [new.startswith(old) for new, old in zip(after[name], seen, strict=True)]
        assert seen == before.get(name) or all(begins), f"neither old nor new: {name}"
