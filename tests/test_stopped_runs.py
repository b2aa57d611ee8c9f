"""A run that was stopped, and goes on with something changed: what it left is used for what is the same, never else.

The parts of the stopped run are spoilt in between.  So whoever uses one fails, and whoever does not cannot have been
led by it: what comes out is what a run gives that finds nothing.
"""

import os
import time

import pytest
from framemake import files
from framemake.day import attempt, layout, plan, work
from framemake.day.folder import Folder
from framemake.frames import channels, lists
from framemake.gps import Window
from support.inside import DaySite, inside
from support.sites import DAY, START, contents, signal

LENGTH = 360


@pytest.fixture
def site(tmp_path):
    """Six minutes of two channels, at 1 and 2 Hz, of which a run has left the parts."""
    site = DaySite(tmp_path / "site")
    for minute in range(6):
        write(site, minute)
    site.want("V1:A", "V1:B")
    site.extract(LENGTH)
    return site


def write(site, minute, offset=0):
    a, b = (signal(name, 60 * rate, 60 * minute * rate + offset, rate) for name, rate in (("V1:A", 1), ("V1:B", 2)))
    return site.frame(60 * minute, 60, [a, b])


def spoil(site):
    parts = [path for path in site.parts.iterdir() if path.suffix == ".h5"]
    assert parts
    for path in parts:
        path.write_bytes(b"half a part")
    return {path.name for path in parts}


def late(site):
    write(site, 6)


def changed(site):
    path = write(site, 2, offset=1000)
    site.listed.pop()
    site.ffl.write_text("".join(site.listed))
    os.utime(path, (0, 0))


def relisted(site):
    """The list says that a frame is shorter: its file is what it was."""
    site.listed[2] = site.listed[2].replace(" 60 0 0", " 30 0 0")
    site.ffl.write_text("".join(site.listed))


def unlisted(site):
    del site.listed[5]
    site.ffl.write_text("".join(site.listed))


def test_what_a_stopped_run_left_is_used_by_one_that_is_asked_for_the_same(site):
    before = {path.name: path.read_bytes() for path in site.parts.iterdir()}
    paths = [str(path) for path in site.parts.glob("*.h5")]
    told = site.extract(LENGTH).stdout.splitlines()
    assert sorted(told) == sorted([*paths, str(site.parts / "plan.json")])
    # Of several processes one tells of it.
    told = [
        line for share in ("1/3", "2/3", "3/3") for line in site.extract(LENGTH, "--share", share).stdout.splitlines()
    ]
    assert sorted(told) == sorted([*paths, str(site.parts / "plan.json")])
    assert {path.name: path.read_bytes() for path in site.parts.iterdir()} == before
    spoil(site)
    site.extract(LENGTH)
    assert "a part is damaged" in site.join(check=False).stderr and not site.h5.exists()


def test_with_another_compression(site, tmp_path):
    as_if_nothing_was_there(site, tmp_path, LENGTH, "--compression", "gzip")


@pytest.mark.parametrize("increment", [120, 7])
def test_with_another_increment(site, tmp_path, increment):
    as_if_nothing_was_there(site, tmp_path, LENGTH, increment=increment)


@pytest.mark.parametrize(("start", "seconds"), [(0, 300), (60, 300), (-60, 360)])
def test_with_another_span(site, tmp_path, start, seconds):
    as_if_nothing_was_there(site, tmp_path, seconds, start=START + start)


def test_with_a_span_that_begins_elsewhere_in_the_same_frame(site, tmp_path):
    site.listed.clear()
    site.frame(0, 600, [signal(count=600), signal("V1:B", 1200, rate=2)], name="long.gwf")
    site.parts.joinpath("plan.json").unlink()
    site.extract(LENGTH)
    as_if_nothing_was_there(site, tmp_path, LENGTH, start=START + 60)


@pytest.mark.parametrize("names", [("V1:A",), ("V1:B", "V1:A"), ("V1:A", "V1:C")])
def test_with_another_channel_list(site, tmp_path, names):
    site.want(*names)
    as_if_nothing_was_there(site, tmp_path)


@pytest.mark.parametrize("how", [late, changed, relisted, unlisted])
def test_with_other_frames(site, tmp_path, how):
    how(site)
    as_if_nothing_was_there(site, tmp_path, 420 if how is late else LENGTH)


@pytest.mark.parametrize("first", [True, False])
def test_with_an_earlier_result_to_build_on_or_without_one_any_more(site, tmp_path, first):
    """A part that is built on an earlier result knows only of what was read anew."""
    site.join()
    for path in site.parts.glob("*.h5"):
        path.unlink()
    changed(site)
    # May the day shrink, what the frame was before is not in the plan as well.
    site.extract(LENGTH, keep=site.h5 if first else None, shrink=True)
    as_if_nothing_was_there(site, tmp_path, LENGTH, keep=None if first else site.h5, shrink=True)


def test_after_the_machine_went_down(site, tmp_path, monkeypatch):
    """Parts are not synced: after a power cut a file may be there, and not what was written."""
    monkeypatch.setattr(files, "boot", lambda: "another boot of this machine")
    as_if_nothing_was_there(site, tmp_path)


def test_by_a_newer_version_that_lays_days_out_otherwise(site, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "LAYOUT", layout.LAYOUT + 1)
    as_if_nothing_was_there(site, tmp_path)


def as_if_nothing_was_there(site, tmp_path, seconds=LENGTH, *options, **more):
    """Go on where a run has left parts that are spoilt by now: the day must be that of a run that finds nothing."""
    spoilt = spoil(site)
    done = site.build(seconds, *options, **more)
    assert done.stderr == ""
    more.pop("keep", None)  # of it there is nothing in what is made from nothing
    other = site.fresh(tmp_path / "fresh", seconds, *options, **more)
    assert contents(site.h5) == contents(other.h5)
    assert all((site.parts / name).read_bytes() == b"half a part" for name in spoilt)


def test_the_state_of_a_run_tells_how_far_it_is(site, tmp_path):
    folder = Folder.of(str(tmp_path), "V1trend", DAY)
    os.makedirs(folder.work)
    options = ("--record", folder.path, "--begun", "2024-04-11T00:00:00Z")
    site.extract(LENGTH, *options)
    assert folder.state()["last_completed_chunk"] == 5
    for path in site.parts.glob("*.h5"):
        path.unlink()
    states = []
    real = Folder.note_running
    with pytest.MonkeyPatch.context() as seen:
        seen.setattr(
            Folder, "note_running", lambda self, begun, **said: (states.append(said), real(self, begun, **said))
        )
        site.extract(LENGTH, *options)
    assert [said["last_completed_chunk"] for said in states] == [-1, 5]


@pytest.mark.parametrize("often", [True, False])
def test_how_far_a_run_is_is_told_now_and_then_and_at_its_end(often, site, tmp_path, monkeypatch):
    """What tells it writes to a disk that may be busy, and all who read waited for that after each part."""
    monkeypatch.setattr(plan, "BUDGET", 1)
    monkeypatch.setattr(work, "_TOLD", 0 if often else 1000)
    window, parts, seen = Window(START, START + LENGTH), str(tmp_path / "parts"), []
    listing, _ = lists.list_frames(str(site.ffl), window)
    wanted, _ = channels.read(site.channels.read_text(), "list")
    planned = work.prepare(parts, window, 60, "lzf", listing, wanted, None)
    work.work(planned, parts, None, (1, 1), 0, print, progress=lambda done, of, complete: seen.append(done))
    number = len(planned.blocks)
    assert number > 1 and seen == (list(range(1, number + 1)) if often else [number])


# --- what make finds in the day's folder ---------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A day's folder in which a run was killed: parts, inputs, what it was writing, a state that says it runs."""
    folder = Folder.of(str(tmp_path), "V1trend", DAY)
    os.makedirs(folder.parts)
    for path in (f"{folder.parts}/one.h5", f"{folder.path}/.V1trend.h5.1.tmp", folder.h5, folder.summary):
        with open(path, "w") as out:
            out.write("left")
    folder.note_running("2024-04-11T00:00:00Z", date=DAY)
    (tmp_path / "channels.txt").write_text("V1:A\n")
    variables = {"CHANNELS": f"{tmp_path}/channels.txt", "SPEC": "V1trend", "INCREMENT": "60", "COMPRESSION": "lzf"}
    attempt.prepare(folder, DAY, attempt.Request.of(variables), False, "2024-04-11T00:00:00Z")
    return folder, variables


def stamps(folder):
    return {path: os.stat(path).st_mtime_ns for path in (folder.requested, folder.settings)}


def prepared(folder, **more):
    folder, variables = folder
    attempt.prepare(folder, DAY, attempt.Request.of({**variables, **more}), False, "2024-04-12T00:00:00Z")


def test_a_run_goes_on_with_the_parts_that_are_there(folder):
    before = stamps(folder[0])
    prepared(folder)
    assert os.listdir(folder[0].parts) == ["one.h5"] and stamps(folder[0]) == before
    assert not [name for name in os.listdir(folder[0].path) if name.endswith(".tmp")]


def test_made_anew_a_day_has_nothing_of_the_parts_that_are_there(folder):
    before = stamps(folder[0])
    prepared(folder, RESUME="no")
    assert not os.path.exists(folder[0].parts)
    # Newer than the day file, so that make makes that anew.
    assert all(stamp > before[path] for path, stamp in stamps(folder[0]).items())


def test_a_day_that_was_stopped_is_told_again_though_its_summary_is_there(folder):
    # Between the day file and its telling: make is to see that the summary is older.
    os.utime(folder[0].summary)
    prepared(folder)
    assert os.stat(folder[0].summary).st_mtime_ns == 0
    folder[0].note(status="completed")
    os.utime(folder[0].summary)
    prepared(folder)
    assert os.stat(folder[0].summary).st_mtime_ns > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("SPEC", "V1raw"), ("INCREMENT", "61"), ("COMPRESSION", "gzip"), ("MINUTES", "5"), ("START", "1396742419"),
     ("END", "1396742419")],
)  # fmt: skip
def test_another_setting_makes_the_settings_file_another(folder, name, value):
    span = {"START": "1396742418", "END": "1396828818"} if name in ("START", "END") else {}
    texts = set()
    for more in ({}, {name: value}):
        prepared(folder, **{**span, **more})
        with open(folder[0].settings) as held:
            texts.add(held.read())
    assert len(texts) == 2


def test_another_channel_list_makes_its_copy_another_and_the_same_one_does_not(folder, tmp_path):
    before = stamps(folder[0])
    (tmp_path / "channels.txt").write_text("V1:A\n")
    prepared(folder)
    assert stamps(folder[0]) == before
    (tmp_path / "channels.txt").write_text("V1:B\n")
    prepared(folder)
    with open(folder[0].requested) as held:
        assert held.read() == "V1:B\n"


def test_a_day_that_says_it_is_done_has_no_parts_any_more(site):
    """A run that is killed right after has left nothing behind; who tells a day by hand leaves a run's parts alone."""
    site.build()
    folder = Folder.holding(str(site.h5))
    os.makedirs(folder.parts)
    inside("summarize", site.h5)
    assert os.path.isdir(folder.parts)
    inside("summarize", site.h5, "--record", folder.path)
    assert folder.state()["status"] == "completed" and not os.path.exists(folder.parts)


def test_parts_go_while_a_day_is_told_but_what_is_noted_and_what_is_being_written(tmp_path):
    folder = Folder.of(str(tmp_path), "V1trend", DAY)
    os.makedirs(folder.parts)
    stay = {os.path.basename(folder.hashed), ".hashed.0bbfd16a-1.tmp", ".one.lock"}
    for name in ("plan.json", "one.h5", "two.h5", *stay):
        (tmp_path / folder.parts / name).write_text("")
    with folder.dropping_parts():
        end = time.monotonic() + 20
        while set(os.listdir(folder.parts)) != stay:
            assert time.monotonic() < end, os.listdir(folder.parts)
            time.sleep(0.01)
    assert not os.path.exists(folder.parts)
    with folder.dropping_parts():
        pass  # there are none
