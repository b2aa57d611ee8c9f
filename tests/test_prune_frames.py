"""prune-frames: what it removes, what it never does, and that a day of which frames were pruned stays as it is."""

import datetime
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from framemake import files
from framemake.gwf.write import write
from framemake.host import retention
from framemake.host.kept_days import DayKeeper
from framemake.host.retention import Reason
from support import streams
from support.commands import BIN, bound, long, needs, needs_package, refused, run, stub, well
from support.sites import command, make

DAYS = ["2024-04-10", "2024-04-11", "2024-04-12"]
MIDNIGHT = 1396742418  # of the first
SIX_HOURS = 21600
# GPS starts of the frames; each day's first begins 18 s before it.
STARTS = [MIDNIGHT - 18 + n * SIX_HOURS for n in range(13)]


class Archive:
    """Three finished days of small trend frames, of which the first two are old."""

    def __init__(self, folder):
        self.folder, self.frames, self.out = folder, folder / "frames", folder / "out"
        self.ffl, self.channels = folder / "t.ffl", folder / "channels.txt"

    def build(self):
        lines = {}
        for day in DAYS:
            made = command(
                "make-frames", self.frames, "--day", day, "--channels", 3, "--duration", SIX_HOURS, "--list",
                self.channels,
            )  # fmt: skip
            lines.update(dict.fromkeys(made.stdout.splitlines()))
        self.ffl.write_text("".join(f"{line}\n" for line in lines))
        done = self.make()
        assert done.returncode == 0 and "3 built" in done.stderr, done.stderr

    def make(self, *options, **more):
        given = {"START": DAYS[0], "END": DAYS[-1], "FFL": self.ffl, "CHANNELS": self.channels, "OUT": self.out, **more}
        return make("range", *options, *(f"{name}={value}" for name, value in given.items()), cwd=self.folder)

    def make_day(self, day, before=(), **more):
        given = {"DAY": day, "FFL": self.ffl, "CHANNELS": self.channels, "OUT": self.out, **more}
        return make(*(f"{name}={value}" for name, value in given.items()), cwd=self.folder, before=before)

    def frame(self, number):
        (path,) = self.frames.glob(f"*-{STARTS[number]}-{SIX_HOURS}.gwf")
        return path

    def day(self, number):
        return self.out / f"V1trend-{DAYS[number]}"

    def h5(self, number):
        return self.day(number) / f"V1trend_{DAYS[number].replace('-', '')}.h5"

    def bytes(self):
        return [self.h5(number).read_bytes() for number in range(len(DAYS))]

    def there(self):
        return sorted(os.listdir(self.frames))

    def prune(self, remove=True, today="2024-04-13", keep=1, **more):
        """Prune in this process, by default what is before the third day; (names, {name: why it is kept})."""
        keeper = DayKeeper(str(self.out), more.get("spec", "V1trend"))
        found = list(retention.prune(str(self.frames), [keeper], keep, remove, datetime.date.fromisoformat(today)))
        gone = [os.path.basename(path) for path, why in found if not why]
        return gone, {os.path.basename(path): why for path, why in found if why}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    needs("make", "parallel", "jq", "flock")
    needs_package("gwpy")
    folder = tmp_path_factory.mktemp("prune")
    archive = Archive(folder / "site")
    archive.folder.mkdir()
    archive.build()
    shutil.copytree(archive.folder, folder / "before", symlinks=True)
    return archive


@pytest.fixture
def archive(built):
    """The same three days for each test, at the same place."""
    shutil.rmtree(built.folder)
    shutil.copytree(built.folder.parent / "before", built.folder, symlinks=True)
    return built


def keep_from(day):
    """--keep-days that keeps a day and all after it."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return str((today - datetime.date.fromisoformat(day)).days)


def names(archive, *numbers):
    return [archive.frame(number).name for number in numbers]


def contents(folder):
    """Every path below a folder with its size and time."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(Path(folder).rglob("*"))}


# The old days have frames 0 to 8: 0 is of the day before the first as well, which was never built, and 8 of the third.
OLD = range(1, 8)


def test_a_dry_run_prints_what_would_go_and_writes_nothing(archive):
    before = contents(archive.folder)
    options = (archive.out, "--keep-days", keep_from(DAYS[2]))
    status, out, told = run("prune-frames", archive.frames, *options)
    assert out.splitlines() == [str(archive.frame(number)) for number in OLD]
    # The day before the first was never asked for: its 18 s keep the first frame, which nobody can help.
    assert status == 0 and told == f"prune-frames: kept, 2024-04-09 is not there: {str(archive.frame(0))!r}\n"
    assert run("prune-frames", archive.frames, *options, "--dry-run") == (status, out, told)
    assert contents(archive.folder) == before


def test_what_is_pruned_counts_as_unchanged_for_make(archive):
    before, listed = archive.bytes(), archive.there()
    gone = names(archive, *OLD)
    options = (archive.out, "--keep-days", keep_from(DAYS[2]), "--yes")
    status, out, _ = run("prune-frames", archive.frames, *options)
    assert status == 0 and [os.path.basename(path) for path in out.splitlines()] == gone
    assert archive.there() == sorted(set(listed) - set(gone))
    # A list that still names the files, and a folder that no longer has them.
    for source in (archive.ffl, archive.frames):
        done = archive.make(FFL=source)
        assert done.returncode == 0 and "3 day(s): 0 built, 3 had nothing new" in done.stderr, done.stderr
        assert "pruned" not in done.stderr
        done = archive.make_day(DAYS[1], FFL=source)
        assert done.returncode == 0 and "stays as it is, frames of it were pruned" in done.stderr
    assert archive.bytes() == before
    states = [json.loads((archive.day(number) / "state_day.json").read_text())["status"] for number in range(3)]
    assert states == ["completed"] * 3
    # Nothing is left to do, and the third day, of which no frame is gone, is as alive as before.
    assert run("prune-frames", archive.frames, *options)[1] == ""
    archive.channels.write_text(archive.channels.read_text().splitlines()[0] + "\n")
    assert "left out: 2024-04-10 to 2024-04-11" in (done := archive.make()).stderr and "1 built" in done.stderr
    assert archive.bytes()[:2] == before[:2]


def late(archive):
    shutil.copy(archive.frame(0), archive.frames / f"V-late-{MIDNIGHT + 100}-50.gwf")
    return {"FFL": archive.frames}


@pytest.mark.parametrize(
    "case",
    [
        "day file gone",
        *map(long, ("late frame", "channel list", "setting", "again", "one comes back")),
    ],
)
def test_what_cannot_be_made_again_is_left_and_told(archive, case):
    gone, _ = archive.prune()
    before = archive.bytes()
    more, day = {}, {}
    if case == "late frame":
        more = day = late(archive)
    elif case == "channel list":
        archive.channels.write_text("V1:OTHER\n")
    elif case == "setting":
        more = day = {"INCREMENT": 300}
    elif case == "again":
        more = day = {"RESUME": "no"}
    elif case == "day file gone":
        archive.h5(0).unlink()
    else:
        write(archive.frames / gone[2], [(STARTS[3], SIX_HOURS, [])])
    more = {**more, "END": DAYS[0]}
    done = archive.make(**more)
    assert done.returncode == 0 and "1 day(s): 0 built, 1 had nothing new" in done.stderr
    assert "plan-range: frames were pruned, so what is new is left out: 2024-04-10\n" in done.stderr
    done = archive.make_day(DAYS[0], **day)
    if case in ("again", "day file gone"):
        assert done.returncode != 0 and "cannot be made anew, frames of it were pruned" in done.stderr
    else:
        # What was asked for is not done where another setting was.
        assert done.returncode == (2 if case == "setting" else 0) and "stays as it is" in done.stderr
    if case == "day file gone":
        assert not archive.h5(0).exists()
    else:
        assert archive.bytes() == before
    assert json.loads((archive.day(0) / "state_day.json").read_text())["status"] == "completed"


@pytest.mark.long
def test_a_summary_can_be_made_again(archive):
    archive.prune()
    before = archive.bytes()
    for number in (0, 1):
        archive.h5(number).with_suffix(".summary.json").unlink()
    assert archive.make_day(DAYS[0]).returncode == 0
    done = archive.make()
    assert "1 built, 2 had nothing new" in done.stderr, done.stderr
    assert all(archive.h5(number).with_suffix(".summary.json").exists() for number in (0, 1))
    assert archive.bytes() == before


@pytest.mark.long
def test_frames_that_are_all_back_make_a_day_like_any_other(archive):
    before = archive.bytes()
    gone, _ = archive.prune()
    for name in gone:
        shutil.copy2(archive.folder.parent / "before" / "frames" / name, archive.frames / name)
    assert "0 built, 3 had nothing new" in archive.make().stderr and archive.bytes() == before
    # One that is not what it was is a changed frame.
    from framemake.gwf.write import Signal

    channel = archive.channels.read_text().split()[0]
    path = archive.frame(2)
    write(path, [(STARTS[2], SIX_HOURS, [Signal(channel, np.full(SIX_HOURS, 7, "f4"), 1.0, "V")])])
    done = archive.make()
    assert "1 built, 2 had nothing new" in done.stderr, done.stderr
    with h5py.File(archive.h5(0)) as file:
        held = file["channels"][channel][()]
    first = STARTS[2] - MIDNIGHT
    assert (held[first : first + SIX_HOURS] == 7).all() and not (held[:first] == 7).all()
    assert archive.bytes()[1:] == before[1:]


# What is kept


def fail(archive):
    files.write(str(archive.day(1) / "state_day.json"), json.dumps({"date": DAYS[1], "status": "failed"}))


def alter(archive):
    with h5py.File(archive.h5(1), "r+") as file:
        next(iter(file["channels"].values()))[50000] += 1


def damage(archive):
    with h5py.File(archive.h5(1)) as file:
        chunk = next(iter(file["channels"].values())).id.get_chunk_info(5)
    with open(archive.h5(1), "r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)


def no_hdf5(archive):
    archive.h5(1).write_bytes(b"no HDF5")


def other_file(archive):
    """The list came to the frames by a link, which now leads to copies of another time."""
    link = archive.folder / "by"
    link.symlink_to(archive.frames)
    (archive.folder / "by.ffl").write_text(archive.ffl.read_text().replace(str(archive.frames), str(link)))
    for day in DAYS:
        assert archive.make_day(day, FFL=archive.folder / "by.ffl").returncode == 0
    link.unlink()
    shutil.copytree(archive.frames, link, copy_function=shutil.copy)


def touch(archive):
    os.utime(archive.frame(6))


def part(archive):
    assert archive.make_day(DAYS[1], MINUTES=20, SHRINK="yes").returncode == 0


def deny(archive):
    archive.frame(6).chmod(0)
    assert archive.make_day(DAYS[1], before=bound(), RESUME="no", SHRINK="yes").returncode == 0
    archive.frame(6).chmod(0o644)


def other_spec(archive):
    assert archive.make_day(DAYS[1], SPEC="V1other").returncode == 0


def link(archive):
    path = archive.frame(6)
    path.rename(archive.folder / "elsewhere.gwf")
    path.symlink_to(archive.folder / "elsewhere.gwf")


def remove_day_file(archive):
    archive.h5(1).unlink()


@pytest.mark.parametrize(
    ("harm", "reason", "words", "kept"),
    [
        # Frame 4 is of both days: each must release it.
        (fail, Reason.UNFINISHED, "2024-04-11 is failed", {4, 5, 6, 7}),
        (remove_day_file, Reason.UNFINISHED, "2024-04-11 is gone", {4, 5, 6, 7}),
        pytest.param(
            *(part, Reason.UNFINISHED, "only a part of 2024-04-11 was built", {4, 5, 6, 7}), marks=pytest.mark.long
        ),
        (deny, Reason.UNFINISHED, "2024-04-11 waits for a frame that could not be had", {4, 5, 6, 7}),
        (alter, Reason.WRONG, "differs from its frames", {4, 5, 6, 7}),
        pytest.param(
            *(other_spec, Reason.NOT_USED, "another folder of 2024-04-11 was made from it as well", {4, 5, 6, 7}),
            marks=pytest.mark.long,
        ),
        long(other_file, Reason.UNKNOWN, "was not made from it", set(range(1, 8))),
        (damage, Reason.WRONG, "V1trend_20240411.h5", {4, 5, 6, 7}),
        (no_hdf5, Reason.WRONG, "cannot be read as HDF5", {4, 5, 6, 7}),
        (touch, Reason.NOT_USED, "has changed since 2024-04-11 was made from it", {6}),
        (link, Reason.NOT_USED, "a link, or no file", {6}),
    ],
)
def test_a_frame_is_kept(archive, harm, reason, words, kept):
    harm(archive)
    before = archive.there()
    gone, why = archive.prune()
    told = {name: why[name] for name in names_of(kept)}
    if harm is touch:
        # A frame that is not what the day was made from: nor do the others count as checked.
        assert told.pop(names_of({6})[0]) == (reason, words)
        assert {each.reason for each in why.values()} == {reason, Reason.WRONG}
        assert gone == names_of({1, 2, 3})
    else:
        assert {each.reason for each in told.values()} == {reason} and all(
            words in each.words for each in told.values()
        )
        assert gone == names_of(set(OLD) - kept)
    assert archive.there() == sorted(set(before) - set(gone))


def test_a_file_that_changes_while_its_day_is_checked_is_kept(archive, monkeypatch):
    check = DayKeeper._check

    def slow(self, known):
        os.utime(archive.frame(3))
        return check(self, known)

    monkeypatch.setattr(DayKeeper, "_check", slow)
    gone, why = archive.prune()
    assert archive.frame(3).exists() and why[archive_name(3)].reason in (Reason.NOT_USED, Reason.WRONG)
    assert archive_name(3) not in gone


def names_of(numbers):
    return [f"V-trend-{STARTS[number]}-{SIX_HOURS}.gwf" for number in sorted(numbers)]


def test_a_day_that_differs_is_an_error_and_an_unfinished_one_is_told(archive):
    alter(archive)
    options = (archive.frames, archive.out, "--keep-days", keep_from(DAYS[2]), "--yes")
    status, out, told = run("prune-frames", *options)
    assert status == 1 and [os.path.basename(path) for path in out.splitlines()] == names_of({1, 2, 3})
    assert f"kept, differs from its frames, check-day tells where: {str(archive.h5(1))!r}" in told
    assert told.splitlines()[-1].endswith("and 3 more")


@pytest.mark.long
def test_a_frame_that_no_day_could_read_and_one_that_no_day_has_are_kept(archive):
    bad = archive.frame(2)
    bad.write_bytes(bad.read_bytes()[:5000])
    assert archive.make_day(DAYS[0]).returncode == 0
    stray = stub(archive.frames, MIDNIGHT + 40000)
    gone, why = archive.prune()
    assert why[bad.name].words == "could not be read for 2024-04-10"
    assert why[stray.name].words == "2024-04-10 was not made from it"
    assert gone == names_of({1, 3, 4, 5, 6, 7}) and bad.exists() and stray.exists()


def test_a_day_that_is_being_built_keeps_its_frames(archive):
    with files.locked(str(archive.day(0) / ".work" / "lock")):
        for remove in (False, True):
            gone, why = archive.prune(remove)
            assert why[archive_name(2)] == (Reason.UNFINISHED, "2024-04-10 is being built")
            assert gone == names_of({5, 6, 7})


def archive_name(number):
    return names_of({number})[0]


def test_days_to_keep_are_full_utc_days_before_today(archive):
    assert archive.prune(False, "2024-04-13", 1)[0] == names_of(OLD)
    assert archive.prune(False, "2024-04-13", 2)[0] == names_of({1, 2, 3})
    # Frame 4 has 18 s of the first day, and belongs to the second as well.
    assert archive.prune(False, "2024-04-13", 3) == ([], {})
    gone, why = archive.prune(False, "2024-05-13", 1)
    # The last file is of the day after the last too, which was never built.
    assert gone == names_of(range(1, 12))
    assert why[archive_name(12)] == (Reason.UNFINISHED, "2024-04-13 is not there")
    assert why[archive_name(0)] == (Reason.NOT_USED, "2024-04-09 is not there")


def test_a_kill_before_the_frames_are_gone_leaves_days_like_any_other(archive, monkeypatch):
    before = archive.there()

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(retention.os, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        archive.prune()
    monkeypatch.undo()
    assert archive.there() == before and (archive.day(0) / ".pruned.tsv").exists()
    done = archive.make(DRY_RUN="yes")
    assert done.stdout == "" and "pruned" not in done.stderr
    os.utime(archive.frame(2))
    assert "1 built" in archive.make().stderr
    assert archive.prune()[0] == names_of(OLD)
    assert "0 built, 3 had nothing new" in archive.make().stderr


@pytest.mark.long
def test_a_kill_in_the_middle_leaves_what_the_next_run_ends(archive):
    before = archive.bytes()
    line = [BIN / "prune-frames", archive.frames, archive.out, "--keep-days", keep_from(DAYS[2]), "--yes"]
    for lines in (0, 1, 2):
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(0 if lines else 1.5)
        process.kill()
        process.communicate()
        done = archive.make()
        assert "0 built, 3 had nothing new" in done.stderr and "pruned" not in done.stderr, done.stderr
        assert archive.bytes() == before
    subprocess.run(line, capture_output=True, check=True)
    assert archive.there() == names_of({0, *range(8, 13)})
    assert "0 built, 3 had nothing new" in archive.make().stderr and archive.bytes() == before


def test_a_tree_that_is_reached_by_a_link_is_the_same_tree(archive):
    (archive.folder / "link").symlink_to(archive.frames)
    keeper = DayKeeper(str(archive.out), "V1trend")
    today = datetime.date.fromisoformat("2024-04-13")
    found = list(retention.prune(str(archive.folder / "link"), [keeper], 1, True, today))
    assert [os.path.basename(path) for path, why in found if not why] == names_of(OLD)
    assert "0 built, 3 had nothing new" in archive.make().stderr


# Streams

NIGHTS = [streams.NIGHT + n * streams.HOUR for n in range(4)]
CHANNELS = {"H0:PEM-A_SEISX": "f4", "H0:PEM-B_RAIN": "i4"}


def test_frames_that_are_in_the_streams_go_and_an_import_goes_on(tmp_path):
    root, kept, folder = tmp_path / "frames", tmp_path / "undisturbed", tmp_path / "streams"
    paths = [streams.frame(root, start, CHANNELS) for start in NIGHTS[:2]]
    streams.imported(root, folder)
    paths.append(streams.frame(root, NIGHTS[2], CHANNELS))
    status, out, told = run("prune-frames", root, "--streams", folder, "--keep-days", "1")
    assert status == 3 and out.splitlines() == list(map(str, paths[:2]))
    assert told == f"prune-frames: kept, not in the streams: {str(paths[2])!r}\n"
    shutil.copytree(root, kept)
    status, again, _ = run("prune-frames", root, "--streams", folder, "--keep-days", "1", "--yes")
    assert again == out and [path.exists() for path in paths] == [False, False, True]
    streams.imported(root, folder)
    streams.imported(kept, tmp_path / "all")
    assert streams.contents(folder) == streams.contents(tmp_path / "all")
    assert streams.logged(folder) == streams.logged(tmp_path / "all")
    assert well("prune-frames", root, "--streams", folder, "--keep-days", "1") == f"{paths[2]}\n"


def test_a_frame_with_a_fault_and_one_that_the_streams_lost_are_kept(tmp_path):
    root, folder = tmp_path / "frames", tmp_path / "streams"
    good, bad, lost = (streams.frame(root, start, CHANNELS) for start in NIGHTS[:3])
    bad.write_bytes(bad.read_bytes()[:3000])
    assert run("import-streams", root, folder)[0] == 3
    # An import from nothing, of what is no longer all there, with the log of before.
    log = (folder / "ligoimport.files").read_text()
    shutil.rmtree(folder)
    (tmp_path / "less").mkdir()
    shutil.copytree(root, tmp_path / "less", dirs_exist_ok=True)
    streams.path_of(tmp_path / "less", NIGHTS[2]).unlink()
    run("import-streams", tmp_path / "less", folder)
    state = folder / ".framemake" / "state.json"
    told = json.loads(state.read_text())
    (folder / "ligoimport.files").write_text(log)
    state.write_text(json.dumps({**told, "log": len(log)}))
    status, out, said = run("prune-frames", root, "--streams", folder, "--keep-days", "1", "--yes")
    assert out.splitlines() == [str(good)] and bad.exists() and lost.exists()
    assert f"kept, could not be used for the streams: {str(bad)!r}" in said
    assert status == 1 and f"kept, its span is not in 2 streams: 'H0:PEM-A_SEISX': {str(lost)!r}" in said


@pytest.mark.long
def test_days_and_streams_of_one_tree(archive, tmp_path):
    """Each frame is judged by what is made from it: of a tree that holds trends for both, and of frames for both."""
    root, folder = archive.frames, tmp_path / "streams"
    start = MIDNIGHT - 18 + 2 * streams.HOUR
    mine = [streams.frame(root, start + n * streams.HOUR, CHANNELS) for n in range(2)]
    streams.imported(root, folder)
    waiting = streams.frame(root, start + 2 * streams.HOUR, CHANNELS)
    options = ("--streams", folder, "--keep-days", keep_from(DAYS[2]))
    assert run("prune-frames", root, *options)[1].splitlines() == list(map(str, mine))
    status, out, told = run("prune-frames", root, archive.out, *options)
    assert set(out.splitlines()) == {*map(str, mine), *(str(archive.frame(number)) for number in OLD)}
    assert status == 3 and f"kept, not in the streams: {str(waiting)!r}" in told
    # Until the day is finished it may be made from them.
    fail(archive)
    files.write(str(archive.day(0) / "state_day.json"), json.dumps({"date": DAYS[0], "status": "queued"}))
    status, out, told = run("prune-frames", root, archive.out, *options)
    assert (status, out) == (3, "") and "kept, 2024-04-10 is queued" in told
    # Where the days are made from them as well, both release them.
    files.write(str(archive.day(0) / "state_day.json"), json.dumps({"date": DAYS[0], "status": "completed"}))
    channel = next(iter(CHANNELS))
    archive.channels.write_text(f"{channel}.mean\n{channel}.rms\n")
    streams.imported(root, folder)
    assert archive.make_day(DAYS[0], FFL=root / "minute-trend", SHRINK="yes").returncode == 0
    options = (archive.out, *options, "--yes")
    out = run("prune-frames", root, *options)[1]
    assert out.splitlines() == list(map(str, [*mine, waiting]))
    before = archive.bytes()
    assert "stays as it is" in archive.make_day(DAYS[0], FFL=root / "minute-trend").stderr
    assert archive.bytes() == before


def test_an_import_at_work_keeps_its_frames(tmp_path):
    root, folder = tmp_path / "frames", tmp_path / "streams"
    path = streams.frame(root, NIGHTS[0], CHANNELS)
    streams.imported(root, folder)
    with files.locked(str(folder / ".framemake" / "lock")):
        status, out, told = run("prune-frames", root, "--streams", folder, "--keep-days", "1", "--yes")
    assert (status, out) == (3, "") and "an import of the streams is at work" in told and path.exists()


@pytest.mark.slow
def test_what_is_wrongly_asked_is_refused(tmp_path):
    assert "OUT, --streams or both" in refused("prune-frames", tmp_path, "--keep-days", "3", status=2)
    assert "--keep-days" in refused("prune-frames", tmp_path, tmp_path, status=2)
    refused("prune-frames", tmp_path, tmp_path, "--keep-days", "0", status=2)
    for days in ("99999", "999999999"):
        told = refused("prune-frames", tmp_path, tmp_path, "--keep-days", days)
        assert told == f"prune-frames: there were not so many days of GPS time yet: {days}\n"
    assert "no such folder" in refused("prune-frames", tmp_path / "none", tmp_path, "--keep-days", "3")
    assert "no such folder" in refused("prune-frames", tmp_path, tmp_path / "none", "--keep-days", "3")
    assert well("prune-frames", tmp_path, tmp_path, "--keep-days", "3") == ""
    both = ("--keep-days", "3", "--dry-run", "--yes")
    assert "not allowed with" in refused("prune-frames", tmp_path, tmp_path, *both, status=2)


def test_out_is_a_place_or_as_crontabs_have_it_an_option(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for given in ([out], ["--out", out], ["--out", out, "--dry-run"]):
        assert well("prune-frames", tmp_path, *given, "--keep-days", "3") == ""
    assert "OUT is named twice" in refused("prune-frames", tmp_path, out, "--out", out, "--keep-days", "3", status=2)
