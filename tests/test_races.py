"""What changes at the worst moment: a hook makes each change, between two steps of what is tested, and not luck."""

import os
import threading
import types
from pathlib import Path

import pytest
from framemake import files, gps
from framemake.day import folder as day_folder
from framemake.day.folder import COMPLETED, FAILED, INTERRUPTED, QUEUED, RUNNING, Folder
from framemake.days import index, plan, run, status
from framemake.errors import BadInput
from framemake.frames import catalog, lists
from framemake.host import faults, retention
from framemake.serve import dayfiles
from framemake.serve.days import ServedDays
from framemake.serve.streams import ServedStreams
from framemake.streams import records, store
from framemake.streams.reading import each
from support import streams as made
from support.commands import DAY, START, stub
from support.inside import DaySite
from support.sites import signal
from support.streams import HOUR, NIGHT

BEGUN, LATER = "2024-04-11T00:00:00Z", "2024-04-11T01:00:00Z"


def once(action):
    """A function that does something the first time that it is called, and nothing afterwards."""
    todo = [action]

    def hook(*_):
        if todo:
            todo.pop()()

    return hook


# --- streams: a commit while a reader opens them -------------------------------------------

SEIS, RAIN = "H0:PEM-EX_SEISX", "H0:PEM-EX_RAIN"


@pytest.fixture
def streams(tmp_path):
    """Hours 0 and 2 of two streams: an hour that comes late writes records and index anew."""
    for hour in (0, 2):
        made.frame(tmp_path / "frames", NIGHT + hour * HOUR, {SEIS: "f4", RAIN: "i4"})
    made.imported(tmp_path / "frames", tmp_path / "streams")
    return tmp_path / "streams"


def late_hour(streams, hour=1):
    made.frame(streams.parent / "frames", NIGHT + hour * HOUR, {SEIS: "f4", RAIN: "i4"})
    made.imported(streams.parent / "frames", streams)


def whole(stream):
    return stream.info, stream.records.tobytes(), stream.index.tobytes()


def before_reading(monkeypatch, module, ending, hook):
    """Call a hook just before a module opens a file with a name that ends so."""

    def opened(path, *args, **options):
        if str(path).endswith(ending):
            hook()
        return files.opened(path, *args, **options)

    # In this module alone: what the hook does opens files, too.
    monkeypatch.setattr(module, "files", types.SimpleNamespace(**{**vars(files), "opened": opened}))


@pytest.mark.parametrize("ending", [store.STATE, records.INFO, "SEISX.bin", records.INDEX_BIN])
@pytest.mark.parametrize("hour", [1, 3])
def test_a_commit_while_a_stream_is_opened_is_seen_whole(streams, monkeypatch, ending, hour):
    """Late (1) it replaces the files that are being opened; in turn (3) it adds to them."""
    before_reading(monkeypatch, store, ending, once(lambda: late_hour(streams, hour)))
    found = whole(store.open_stream(str(streams), SEIS))
    monkeypatch.undo()
    assert found == whole(store.open_stream(str(streams), SEIS))
    assert len(found[1]) == 25 * (180 if hour == 1 else 182)  # with the two records of a gap


def test_streams_that_change_at_each_look_are_told(streams, monkeypatch):
    monkeypatch.setattr(store, "_PAUSE", 0)
    monkeypatch.setattr(store, "_ATTEMPTS", 5)
    path = store.hidden(str(streams), store.STATE)
    before_reading(monkeypatch, store, records.INDEX_BIN, lambda: files.write(path, Path(path).read_text()))
    with pytest.raises(BadInput, match="change faster than they can be opened"):
        store.open_stream(str(streams), SEIS)


def test_all_streams_of_an_answer_are_of_one_commit(streams, monkeypatch):
    served = ServedStreams(str(streams))
    hook = once(lambda: late_hour(streams))
    real = ServedStreams.open

    def opened(self, name):
        found = real(self, name)
        hook()
        return found

    monkeypatch.setattr(ServedStreams, "open", opened)
    (_, one), (_, other) = served.open_all([SEIS, RAIN])
    assert len(one.records) == len(other.records) == 180


def test_a_stream_that_is_kept_open_is_let_go_when_it_changes(streams):
    served = ServedStreams(str(streams))
    before, held = served.open(SEIS)
    assert served.open(SEIS)[1] is held
    late_hour(streams)
    after, now = served.open(SEIS)
    assert after != before and len(now.records) == 180
    # What was open stays what it was: an answer that is being made does not change.
    assert len(each(held, "mean", 0, len(held.records))[0]) == 122


# --- days: their state ---------------------------------------------------------------------


@pytest.fixture
def day(tmp_path):
    folder = Folder.of(str(tmp_path / "out"), "V1trend", DAY)
    os.makedirs(folder.work)
    folder.note_running(BEGUN, date=DAY, last_completed_chunk=3)
    return folder


def finish(folder, state=COMPLETED, **more):
    Path(folder.h5).touch()
    Path(folder.summary).write_text("{}")
    folder.note(status=state, **more)


@pytest.mark.parametrize("end", [COMPLETED, FAILED])
def test_a_note_of_progress_that_comes_late_does_not_undo_the_end(day, end):
    """Workers go on for a moment when the pipe has told the end, or one of them has failed."""
    day.note(status=end, last_completed_chunk=143, error=None if end == COMPLETED else "pad-merge: out of memory")
    before = day.state()
    day.note_running(BEGUN, date=DAY, last_completed_chunk=4, error=None)
    assert day.state() == before


def test_a_run_that_begins_after_the_end_is_noted(day):
    day.note(status=COMPLETED)
    day.note_running(LATER, date=DAY, last_completed_chunk=-1)
    assert (day.state()["status"], day.state()["started_at_utc"]) == (RUNNING, LATER)


def test_two_who_note_at_once_lose_nothing(day, monkeypatch):
    """Between the reading of the state and its writing another comes, and has to wait."""
    other = threading.Thread(target=lambda: day.note(kept_frames=5))
    real = files.write

    def slowly(path, *args, **options):
        if not other.ident:
            other.start()
            other.join(0.2)
        real(path, *args, **options)

    monkeypatch.setattr(day_folder.files, "write", slowly)
    day.note(retries=2)
    other.join()
    assert (day.state()["retries"], day.state()["kept_frames"]) == (2, 5)


@pytest.mark.parametrize("end", [COMPLETED, FAILED])
def test_a_day_that_ends_between_the_looks_at_its_state_and_its_lock_is_not_interrupted(day, monkeypatch, end):
    hook = once(lambda: finish(day, end))

    def held(self):
        hook()
        return False

    monkeypatch.setattr(Folder, "is_held", held)
    assert day.standing()[1] == end


def test_a_day_that_is_done_is_done_while_its_run_still_holds_the_lock(day):
    with day.hold(0):
        assert day.standing()[1] == RUNNING
        finish(day)
        assert day.standing()[1] == COMPLETED
    day.note_running(LATER)
    assert day.standing()[1] == INTERRUPTED


def test_why_a_day_failed_once_is_forgotten_when_it_fails_of_something_else(day):
    day.note(status=FAILED, error="no frame", reason=day_folder.NO_FRAME)
    day.note(status=FAILED, error="pad-merge: disk full")
    assert "reason" not in day.state()
    day.note(status=FAILED, error="no frame", reason=day_folder.NO_FRAME)
    day.note(retries=1)
    assert day.state()["reason"] == day_folder.NO_FRAME


# --- while a run goes on: what everyone sees of it -------------------------------------------


def test_a_day_at_work_is_running_for_everyone(day, tmp_path):
    out = str(tmp_path / "out")
    stub(tmp_path / "frames")
    (tmp_path / "channels.txt").write_text("V1:A\n")
    variables = {"OUT": out, "CHANNELS": f"{tmp_path}/channels.txt", "SPEC": "V1trend", "INCREMENT": "600",
                 "COMPRESSION": "lzf"}  # fmt: skip
    with day.hold(0):
        (seen,) = status.days_of(out)
        assert (seen.status, seen.error) == (RUNNING, None)
        made_index = index.write(out)
        assert made_index["days"][DAY]["status"] == RUNNING and made_index["stats"]["running"] == 1
        assert list(faults.of_days(out)) == []
        assert ServedDays(out).listing()[0]["status"] == RUNNING
        # A range that comes meanwhile lays down what it wants of the day, and waits: the day goes on running.
        plan.plan(str(tmp_path / "frames"), [DAY], plan.RangeInputs.of(variables))
        assert day.state()["status"] == RUNNING
    (seen,) = status.days_of(out)
    assert (seen.status, seen.error) == (INTERRUPTED, "stopped before it was done")
    made_index = index.write(out)
    assert (made_index["days"][DAY]["status"], made_index["days"][DAY]["error"]) == (FAILED, INTERRUPTED)
    assert [fault.kind for fault in faults.of_days(out)] == [faults.DAY]
    plan.plan(str(tmp_path / "frames"), [DAY], plan.RangeInputs.of(variables))
    assert day.state()["status"] == QUEUED


# --- lists that are written while they are read ----------------------------------------------

LINES = [f"/frames/V-trend-{START + 100 * number}-100.gwf {START + 100 * number} 100 0 0\n" for number in range(6)]


def as_read(path):
    return [frame.path for frame in lists.named(str(path)).frames]


def while_it_is_read(monkeypatch, path, hook):
    """Call a hook each time that a list has been read, before what was read is used."""
    read = files.read_text

    def read_text(name, **options):
        text = read(name, **options)
        if name == str(path):
            hook()
        return text

    monkeypatch.setattr(lists.files, "read_text", read_text)


@pytest.mark.parametrize("how", ["added", "replaced", "touched"])
def test_a_list_that_is_written_while_it_is_read_is_read_again(tmp_path, monkeypatch, how):
    path = tmp_path / "trend.ffl"
    path.write_text("".join(LINES[:3]) + LINES[3][:40] if how == "added" else "".join(LINES[:3]))

    def write():
        if how == "added":
            with open(path, "a") as out:
                out.write(LINES[3][40:] + "".join(LINES[4:]))
        else:
            files.write(path, "".join(LINES))
            os.utime(path, (1, 1))

    while_it_is_read(monkeypatch, path, once(write))
    assert as_read(path) == [line.split()[0] for line in LINES]


def test_a_list_that_is_empty_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "trend.ffl"
    path.touch()
    monkeypatch.setattr(lists.time, "sleep", once(lambda: path.write_text("".join(LINES))))
    assert len(as_read(path)) == len(LINES)


def test_a_list_that_changes_at_each_look_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "trend.ffl"
    path.write_text(LINES[0])

    def grow():
        with open(path, "a") as out:
            out.write(LINES[1])

    while_it_is_read(monkeypatch, path, grow)
    with pytest.raises(BadInput, match="changes while it is read"):
        as_read(path)


# --- frames that change between two looks ----------------------------------------------------


class Releases:
    """A keeper that releases every frame; hook: called while it looks."""

    def __init__(self, hook=lambda frame: None, note=lambda frames: None):
        self.hook, self.note = hook, note

    def concerns(self, frame):
        return True

    def hold(self, days, held, remove):
        return None

    def objection(self, frame, days):
        self.hook(frame)

    def note_removal(self, frames, days):
        self.note(frames)


def replaced(path):
    files.write(path, "another frame")


def touched(path):
    os.utime(path, (0, 0))


def gone(path):
    os.unlink(path)


def linked(path):
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)


def pruned(folder, *keepers, remove=True):
    today = gps.day_of(START + 30 * 86400)
    found = retention.prune(str(folder), keepers, 1, remove, retention.datetime.date.fromisoformat(today))
    return {os.path.basename(path): why for path, why in found}


@pytest.mark.parametrize("how", [replaced, touched, gone, linked])
def test_a_frame_that_changes_while_its_day_is_checked_stays(tmp_path, how):
    one, other = stub(tmp_path), stub(tmp_path, START + 100)
    why = pruned(tmp_path, Releases(lambda frame: how(frame.path) if frame.path == str(one) else None))
    assert "changed meanwhile" in why[one.name].words and why[other.name] is None
    assert not other.exists() and (how is gone or one.exists())


def test_what_is_removed_has_been_noted_before(tmp_path):
    """Who stops between the two leaves a day that knows that it cannot be made again, and loses nothing."""
    paths = [stub(tmp_path, START + 100 * number) for number in range(3)]
    noted = []

    def note(frames):
        noted.append([(frame.path, os.path.exists(frame.path)) for frame in frames])

    pruned(tmp_path, Releases(note=note))
    assert noted == [[(str(path), True) for path in paths]] and not any(path.exists() for path in paths)
    paths = [stub(tmp_path, START + 100 * number) for number in range(3)]
    assert set(pruned(tmp_path, Releases(note=note), remove=False).values()) == {None}
    assert len(noted) == 1 and all(path.exists() for path in paths)


# --- day files that are replaced while they are read -----------------------------------------


@pytest.fixture
def site(tmp_path):
    site = DaySite(tmp_path)
    for minute in range(6):
        site.frame(60 * minute, 60, [signal(first=60 * minute), signal("V1:B", first=60 * minute)])
    site.want("V1:A", "V1:B")
    site.build()
    return site


def change(site):
    site.frame(120, 60, [signal(first=5000), signal("V1:B", first=5000)])
    site.listed.pop()
    os.utime(site.frames / f"V-test-{START + 120}-60.gwf", (0, 0))
    site.ffl.write_text("".join(site.listed))
    site.rebuild()


def test_samples_of_a_day_file_that_was_replaced_are_not_taken_for_those_of_before(site):
    channel = dayfiles.OpenChannels().channel(str(site.h5), "V1:A")
    assert dayfiles.read_samples(channel, [(120, 122)])[0].tolist() == [120, 121]
    change(site)
    with pytest.raises(BadInput, match="is being replaced, try again"):
        dayfiles.read_samples(channel, [(120, 122)])


def test_a_day_that_is_replaced_while_it_is_asked_for_is_told_as_one_version(site, monkeypatch):
    served = ServedDays(str(site.out))
    hook, real = once(lambda: change(site)), dayfiles.OpenChannels.channel

    def channel(self, path, name):
        found = real(self, path, name)
        hook()
        return found

    monkeypatch.setattr(dayfiles.OpenChannels, "channel", channel)
    (curve,) = served.curves(["V1:A"], "", START + 60, START + 240, 3)
    assert curve.mean.tolist() == [89.5, 5029.5, 209.5]
    before = served.current()[0]
    os.utime(site.h5, (1, 1))
    monkeypatch.setattr("framemake.serve.days._AT_ONCE", 0)
    assert served.current()[0] != before


def test_frames_that_change_after_they_were_listed_are_read_again_by_the_next_run(site, tmp_path):
    """The table of frames says what they were when they were listed; what is read may be younger."""
    table = tmp_path / "frames.tsv"
    table.write_text(catalog.table(lists.list_frames(str(site.ffl), gps.Window(START, START + 360)).frames))
    site.frame(120, 60, [signal(first=7000), signal("V1:B", first=7000)])
    site.listed.pop()
    ffl = tmp_path / "now.ffl"
    ffl.write_text("".join(site.listed))
    site.ffl = table
    site.build()
    site.ffl = ffl
    site.rebuild()
    assert site.read("V1:A")[0][118:122].tolist() == [118, 119, 7000, 7001]
    (now,) = [each for each in site.json("summary")["provenance"]["frames"] if each["gps_start"] == START + 120]
    assert now["mtime"] == pytest.approx(os.stat(now["path"]).st_mtime)


# --- a range that judges a day which another make has -------------------------------------------


def test_a_day_that_another_make_has_at_that_moment_is_judged_once_that_is_done_with_it(tmp_path):
    """A make that finds nothing to do says that the day runs until it knows."""
    day = Folder.of(str(tmp_path), "V1trend", DAY)
    assert not run.is_done(day, 0)  # there is no folder
    os.makedirs(day.work)
    day.note(status=RUNNING)
    taken, go = threading.Event(), threading.Event()

    def other():
        with day.hold(0):
            taken.set()
            go.wait(30)
            day.note(status=COMPLETED)

    holder = threading.Thread(target=other)
    holder.start()
    try:
        assert taken.wait(30) and not run.is_done(day, 0)
        threading.Timer(0.2, go.set).start()
        assert run.is_done(day, 30)
    finally:
        go.set()
        holder.join()
    day.note(status=FAILED)
    assert not run.is_done(day, 30)
