"""Two faults at once: neither hides the other, and what is well beside them stays well."""

import functools
import itertools
import json
import os
import shutil
import time

import numpy as np
import pytest
from framemake import gwf
from framemake.day.folder import COMPLETED, FAILED, NO_FRAME, QUEUED, RUNNING, Folder
from framemake.days import index, status
from framemake.host import faults, night, nightconf, plugin, retention
from framemake.host.night import RangeCounts, Verdict
from framemake.host.plugin import CRITICAL, OK, UNKNOWN, WARNING, Finding
from framemake.host.retention import Kept, Reason
from support.commands import DAY, START, stub
from support.inside import DaySite, ReadAlone, inside
from support.sites import contents, ramp, signal

NAN = np.nan


def same(got, want):
    np.testing.assert_array_equal(got, np.asarray(want, dtype=got.dtype))


# --- a night ---------------------------------------------------------------------------------

EXITS = {"ok": 0, "warning": 3, "failed": 1}


@pytest.mark.parametrize("order", list(itertools.permutations(EXITS)), ids="-".join)
def test_the_worst_of_a_night_is_what_it_comes_to_whatever_came_after(tmp_path, order):
    """What runs is the exit status alone: a step is judged by it, and the night by the worst."""
    asked = nightconf.settings({"LOGS": str(tmp_path)})
    steps = [nightconf.Step(name, (str(EXITS[name]),)) for name in order]
    said = []
    worst = of_night(asked, steps, said)
    assert worst is Verdict.FAILED
    report = json.loads((tmp_path / "nightly.json").read_text())
    assert report["status"] == "failed" and [step["status"] for step in report["steps"]] == list(order)
    assert len(said) == 3 and said[-1].startswith("failed: ")
    assert of_night(asked, steps[:1], []) is Verdict(order[0])


def of_night(asked, steps, said):
    """A night whose steps end with the exit status that is their only word."""
    made = night._Night(asked, night.datetime.date(2024, 4, 10), said.append, False, False)
    made._wait_for = lambda words, left, data: int(words[0])
    return made.run(steps)


def test_a_night_that_is_told_to_end_begins_no_other_step_and_says_so(tmp_path):
    asked = nightconf.settings({"LOGS": str(tmp_path)})
    made, said, ran = (
        night._Night(asked, night.datetime.date(2024, 4, 10), lambda line: said.append(line), False, False),
        [],
        [],
    )

    def wait(words, left, data):
        ran.append(words[0])
        made.stop()
        return 143

    made._wait_for = wait
    steps = [nightconf.Step(name, (name,)) for name in ("first", "next", "last")]
    assert made.run(steps) is Verdict.FAILED and ran == ["first"]
    assert said[:3] == ["first: stopped", "next: not run, stopped", "last: not run, stopped"]


def test_a_night_whose_time_is_over_does_not_begin_what_is_left(tmp_path):
    asked = nightconf.settings({"LOGS": str(tmp_path), "TIME_LIMIT": "5m"})
    said = []
    made = night._Night(asked, night.datetime.date(2024, 4, 10), said.append, False, False)
    made.deadline = time.monotonic() - 1
    made._wait_for = None  # nothing is to wait for
    assert made.run([nightconf.Step("build", ("make",))]) is Verdict.FAILED
    assert said[0] == "build: not run, the time limit of 5m is over"
    # timeout(1) ends what does not end with 124, and with 137 what had to be killed.
    for ended in (124, 137):
        assert night.verdict_on(ended, "5m") == (Verdict.FAILED, "stopped after the time limit of 5m")


def test_a_night_whose_report_cannot_be_written_has_failed_though_its_steps_have_not(tmp_path, monkeypatch):
    """Who watches would go on reading that of the night before."""
    asked = nightconf.settings({"LOGS": str(tmp_path)})
    said = []

    def full(path, *more, **how):
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(night.files, "write", full)
    assert of_night(asked, [nightconf.Step("well", ("0",))], said) is Verdict.FAILED
    assert [line for line in said if "cannot be written" in line] == said[:1] and "disk full" in said[1]


@pytest.mark.parametrize(("broken", "opens"), [(40, 33), (3, 0), (53, 53)])
def test_the_days_that_a_night_shows_begin_as_many_before_the_first_that_is_not_done(tmp_path, broken, opens):
    """The days since the first that there is, of which one is not done: DAYS before it, or the last DAYS."""
    first = night.datetime.date(2024, 1, 1)
    for number in range(60):
        folder = Folder.of(str(tmp_path), "V1trend", str(first + night.datetime.timedelta(days=number)))
        os.makedirs(folder.path)
        folder.note(status=FAILED if number == broken else COMPLETED)
    asked = nightconf.settings({"LOGS": "/logs", "OUT": str(tmp_path), "DAYS": "7"})
    found = night.span(asked, first + night.datetime.timedelta(days=59))
    assert (found.first, (found.recent - first).days, (found.open - first).days) == (first, 53, opens)


@pytest.mark.parametrize(
    ("found", "amounts_to"),
    [
        (RangeCounts(1, 1), 2),  # a day failed, and another has no frame
        (RangeCounts(1, 0, 1), 2),
        (RangeCounts(1, 0, 0, 1), 2),
        (RangeCounts(0, 1, 1, 1), 3),
    ],
)
def test_a_day_that_failed_is_not_hidden_by_one_that_has_no_frame(found, amounts_to):
    assert night.status_of_build(2, found) == amounts_to


@pytest.mark.parametrize("statuses", list(itertools.permutations([OK, WARNING, CRITICAL, UNKNOWN], 3)))
def test_of_several_findings_the_worst_is_told_first_and_none_is_lost(statuses):
    found = [Finding(each, f"finding {each}", f"d{each}=1") for each in statuses]
    worst, line = plugin.line(found)
    assert worst == (CRITICAL if CRITICAL in statuses else WARNING)
    assert line.startswith(f"NIGHTLY {plugin.WORDS[worst]}: finding {worst};")
    assert all(each.text in line and each.data in line for each in found)


# --- a day -----------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    site = DaySite(tmp_path / "site")
    site.want("V1:A", "V1:B")
    return site


def both(minute, offset=0, **more):
    return [signal(name, first=60 * minute + offset, **more) for name in ("V1:A", "V1:B")]


# Made where it is raised: an error keeps the files open that it went past.
BROKEN = functools.partial(OSError, 5, "Input/output error")
DAMAGED = functools.partial(gwf.Damaged, "damaged: checksum does not match")


def refuse(monkeypatch, *where, error=BROKEN, what="read"):
    """Have reads of a channel of a file fail; where: pairs of an ending of a path, and a channel or '' for the file.

    what: 'read', or 'describe': nothing can be told of the channel either.
    """
    real = gwf.open_file

    def is_meant(path, channel):
        return any(str(path).endswith(ending) and name == channel for ending, name in where)

    class Failing(ReadAlone):
        def __init__(self, path, file):
            super().__init__(file)
            self._path = path

        def read(self, index, name, kind):
            if is_meant(self._path, name):
                raise error()
            return self._file.read(index, name, kind)

        def describe_all(self, names):
            return self._file.describe_all([name for name in names if what == "read" or not is_meant(self._path, name)])

        def describe(self, index, name, kind):
            if what == "describe" and is_meant(self._path, name):
                raise error()
            return self._file.describe(index, name, kind)

    def opened(path):
        if is_meant(path, ""):
            raise error()
        return Failing(path, real(path))

    monkeypatch.setattr(gwf, "open_file", opened)


def bad_of(site):
    return {(os.path.basename(each["path"]), each.get("channel", "")) for each in site.json("summary")["bad_frames"]}


def test_a_bad_channel_in_a_good_file_loses_that_channel_alone(site, monkeypatch):
    """And the system that gives a channel another time: the day says that it is to be read again, and then it is."""
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute))
    record = site.day / ".work"
    record.mkdir(parents=True)
    folder = Folder.at(str(site.day))
    with monkeypatch.context() as failing:
        refuse(failing, (f"{START + 60}-60.gwf", "V1:B"))
        site.extract(180, "--retries", "0")
        site.join("--record", site.day)
    same(site.read("V1:A")[0], ramp(180))
    same(site.read("V1:B")[0], [*range(60), *[NAN] * 60, *range(120, 180)])
    assert bad_of(site) == {(f"V-test-{START + 60}-60.gwf", "V1:B")}
    assert folder.is_transient()
    site.rebuild(180)
    site.join("--record", site.day)
    same(site.read("V1:B")[0], ramp(180))
    assert not folder.is_transient() and not bad_of(site)


def test_a_channel_that_is_damaged_where_it_was_looked_for_stays_in_and_comes_from_elsewhere(site, monkeypatch):
    """A probe of one file must not say that the channel is in no frame."""
    for minute in range(2):
        site.frame(60 * minute, 60, both(minute))
    with monkeypatch.context() as failing:
        refuse(
            failing, *((f"{START + 60 * minute}-60.gwf", "V1:B") for minute in range(2)), error=DAMAGED, what="describe"
        )
        done = inside("prune-channels", site.ffl, site.channels)
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["V1:A", "V1:B"]
        assert "cannot be read in any frame looked into" in done.stderr
    with monkeypatch.context() as failing:
        # Of two files of one time the other is looked into, if the first cannot be read.
        site.frame(0, 50, [signal("V1:C", 50)], name="spare.gwf")
        site.frame(60, 50, [signal("V1:C", 50)], name="more.gwf")
        site.want("V1:A", "V1:C")
        refuse(failing, *((f"{START + 60 * minute}-60.gwf", "") for minute in range(2)), error=DAMAGED)
        done = inside("prune-channels", site.ffl, site.channels, "--probe", "1")
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["V1:A", "V1:C"]
        done = inside("prune-channels", site.ffl, site.channels)
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["V1:C"]


def test_a_channel_that_fails_once_is_read_again_at_once(site, monkeypatch):
    site.frame(0, 60, both(0))
    real, failed = gwf.open_file, []

    class Once(ReadAlone):
        def read(self, index, name, kind):
            if name == "V1:B" and not failed:
                failed.append(name)
                raise BROKEN()
            return self._file.read(index, name, kind)

    monkeypatch.setattr(gwf, "open_file", lambda path: Once(real(path)))
    site.build(60)
    assert failed == ["V1:B"]
    same(site.read("V1:B")[0], ramp(60))


@pytest.mark.parametrize(("error", "reads"), [(BROKEN, 5), (DAMAGED, 2)])
def test_a_file_is_tried_again_so_often_and_not_each_of_its_channels_and_damage_not_at_all(
    site, monkeypatch, error, reads
):
    """Two channels fail: three times more in all.  What a checksum says is wrong is so the next time as well."""
    site.frame(0, 60, both(0))
    site.frame(60, 60, both(1))
    asked, real = [], gwf.open_file

    class Counting(ReadAlone):
        def read(self, index, name, kind):
            asked.append(name)
            if len(asked) > 50:
                pytest.fail("tried for ever")
            raise error()

    path = str(site.frames / f"V-test-{START}-60.gwf")
    monkeypatch.setattr(gwf, "open_file", lambda each: Counting(real(each)) if str(each) == path else real(each))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    site.build(120, "--retries", "3")
    assert len(asked) == reads
    same(site.read("V1:B")[0], [*[NAN] * 60, *range(60, 120)])


@pytest.mark.parametrize(("units", "kept"), [("Vmm", "m"), ("mVV", "V"), ("VmV", "V")])
def test_the_unit_of_a_channel_is_that_of_most_of_its_files(site, units, kept):
    site.want("V1:A")
    for minute, unit in enumerate(units):
        site.frame(60 * minute, 60, [signal(first=60 * minute, unit=unit)])
    site.build(180)
    assert site.read("V1:A")[1]["unit"] == kept
    assert site.json("summary")["unit_changes"]["V1:A"] == {"kept": kept, "seen": {u: units.count(u) for u in "Vm"}}


def test_samples_between_those_of_the_day_are_left_out_and_told(site):
    """Of one rate, but half a sample later: they lie on no time of the day's samples."""
    site.want("V1:A")
    for minute in (0, 1, 3):
        site.frame(60 * minute, 60, [signal(first=60 * minute)])
    site.frame(120, 60, [signal(count=59, first=5000, offset=0.5)])
    site.build(240)
    same(site.read("V1:A")[0], [*range(120), *[NAN] * 60, *range(180, 240)])
    change = site.json("summary")["rate_changes"]["V1:A"]
    assert change == {"kept": "1 Hz", "dropped_seconds": {"1 Hz shifted by 0.5 samples": 59}, "dropped_rates": [1]}


def test_a_late_frame_of_a_fast_channel_is_put_where_it_belongs_whatever_the_list_says_of_its_rate(site, tmp_path):
    """Ten minutes at 512 Hz: a unit is a minute, and only one is read; the list has names alone."""
    site.want("V1:A")
    for minute in (0, 1, 2, 3, 5, 6, 7, 8, 9):
        site.frame(60 * minute, 60, [signal(count=60 * 512, first=60 * 512 * minute, rate=512.0)])
    site.build(600)
    site.frame(240, 60, [signal(count=60 * 512, first=60 * 512 * 4, rate=512.0)])
    site.rebuild(600)
    (part,) = site.parts.glob("*.h5")
    assert part.stat().st_size < 60 * 512 * 4 * 2
    other = site.fresh(tmp_path / "fresh", 600)
    assert contents(site.h5) == contents(other.h5)


def test_a_bad_channel_and_a_bad_file_are_both_told_and_both_made_up_for_by_others(site, monkeypatch):
    """Two files of each minute; of one minute the first is bad, of the next one channel of it."""
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute), name=f"a-{minute}.gwf")
        # The longer goes before the shorter.
        site.frame(60 * minute, 59, both(minute, count=59, offset=5000), name=f"b-{minute}.gwf")
    refuse(monkeypatch, ("a-0.gwf", ""), ("a-1.gwf", "V1:B"), error=DAMAGED)
    site.build(180)
    good, spare = ramp(180), ramp(180, 5000)
    a, b = good.copy(), good.copy()
    a[:59], a[59] = spare[:59], NAN
    b[:119], b[[59, 119]] = spare[:119], NAN
    same(site.read("V1:A")[0], a)
    same(site.read("V1:B")[0], b)
    assert bad_of(site) == {("a-0.gwf", ""), ("a-1.gwf", "V1:B")}


def test_a_spare_file_gives_no_more_than_the_span_of_the_one_that_is_bad(site, monkeypatch):
    """What another file says is no good stays so, though the spare one has something there."""
    there = np.arange(120) % 2 == 0
    site.frame(0, 100, [signal(name, 100) for name in ("V1:A", "V1:B")], name="bad.gwf")
    site.frame(60, 120, [signal(name, 120, 60, there=there) for name in ("V1:A", "V1:B")], name="next.gwf")
    site.frame(70, 80, [signal(name, 80, 5000) for name in ("V1:A", "V1:B")], name="spare.gwf")
    refuse(monkeypatch, ("bad.gwf", "V1:A"), error=DAMAGED)
    site.build(180)
    other = np.where(there, ramp(120, 60), NAN)
    want = np.r_[np.full(60, NAN), other]
    want[70:100] = np.where(there[10:40], want[70:100], ramp(30, 5000))
    same(site.read("V1:A")[0], want)
    same(site.read("V1:B")[0], np.r_[ramp(100), other[40:]])
    masks = {name: entry["gwf_mask"] for name, entry in site.json("coverage").items()}
    assert masks == {"V1:A": "01", "V1:B": "11"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_several_masks_on_one_channel_each_counts(site, count):
    """Virgo's second vector, the CDS mask, of which what is not 0 is bad, and integers that no float holds."""
    site.want("V1:A")
    second = np.arange(60)
    bad = {"there": second % 4 == 0, "mask": second % 3 == 0, "exact": second % 5 == 0}
    for chosen in itertools.combinations(bad, count):
        more = {"data": second.astype("i8")}
        if "there" in chosen:
            more["there"] = ~bad["there"]
        if "mask" in chosen:
            more["mask"] = bad["mask"].astype("u2")
        if "exact" in chosen:
            more["data"] = np.where(bad["exact"], 2**53 + 1, second)
        site.listed.clear()
        site.frame(0, 60, [signal()._replace(**more)], name=f"{'-'.join(chosen)}.gwf")
        site.build(60, shrink=True)
        good = ~np.logical_or.reduce([bad[name] for name in chosen])
        same(site.read("V1:A")[0], np.where(good, second, NAN))
        assert bool(site.json("summary")["unusable_samples"]) == ("exact" in chosen)


def test_frames_that_come_late_flip_which_rate_is_that_of_the_day_and_back(site, tmp_path):
    """And a unit with it: what had most of the day is left out, and told, as if all had been there at once."""
    site.want("V1:A")
    for minute in range(3):
        site.frame(60 * minute, 60, [signal(first=60 * minute)])
    for minute in (3, 4):
        fast(site, minute)
    site.build(480)
    assert site.read("V1:A")[1]["sample_rate"] == 1
    for later, rate in (((5, 6), 2), ((7,), 2)):
        for minute in later:
            fast(site, minute)
        site.rebuild(480, shrink=True)
        assert site.read("V1:A")[1]["sample_rate"] == rate
        other = site.fresh(tmp_path / f"fresh{later[0]}", 480)
        assert contents(site.h5) == contents(other.h5)
    change = site.json("summary")["rate_changes"]["V1:A"]
    assert change == {"kept": "2 Hz", "dropped_seconds": {"1 Hz": 180}, "dropped_rates": [1]}
    site.listed = site.listed[:4]
    site.ffl.write_text("".join(site.listed))
    site.rebuild(480, shrink=True)
    assert site.read("V1:A")[1]["sample_rate"] == 1
    other = site.fresh(tmp_path / "back", 480)
    assert contents(site.h5) == contents(other.h5)


def test_a_slower_rate_that_comes_to_have_most_of_the_day_lies_where_it_would_have_at_once(site, tmp_path):
    """What is read anew begins within a unit of it, and what was held before lies on another grid."""
    site.want("V1:A")
    for minute in (0, 1):
        site.frame(60 * minute, 60, [signal(count=60 * 512, first=60 * 512 * minute, rate=512.0)])
    site.build(600)
    for minute in (4, 5, 6, 7):
        site.frame(60 * minute, 60, [signal(first=60 * minute)])
    site.rebuild(600, shrink=True)
    got, attributes = site.read("V1:A")
    assert attributes["sample_rate"] == 1
    same(got, [*[NAN] * 240, *range(240, 480), *[NAN] * 120])
    assert site.json("summary")["rate_changes"]["V1:A"]["dropped_seconds"] == {"512 Hz": 120}
    assert contents(site.h5) == contents(site.fresh(tmp_path / "fresh", 600).h5)


def fast(site, minute):
    site.frame(60 * minute, 60, [signal(count=120, first=120 * minute, rate=2.0, unit="m")])


def test_of_a_frame_that_changed_a_channel_that_is_damaged_now_keeps_what_it_had(site, monkeypatch):
    """The others are what the frame says now; a frame all of which is damaged keeps all."""
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute))
    site.build(180)
    lines = list(site.listed)
    for minute in (0, 1):
        site.frame(60 * minute, 60, both(minute, offset=5000))
    site.ffl.write_text("".join(lines))
    refuse(monkeypatch, (f"{START}-60.gwf", ""), (f"{START + 60}-60.gwf", "V1:B"), error=DAMAGED)
    site.rebuild(180)
    same(site.read("V1:A")[0], [*range(60), *range(5060, 5120), *range(120, 180)])
    same(site.read("V1:B")[0], ramp(180))
    assert bad_of(site) == {(f"V-test-{START}-60.gwf", ""), (f"V-test-{START + 60}-60.gwf", "V1:B")}


@pytest.mark.parametrize("listed", [True, False])
def test_a_frame_that_is_gone_is_kept_once_and_no_longer_when_another_gives_what_it_gave(site, listed):
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute))
    site.build(180)
    gone = site.frames / f"V-test-{START + 60}-60.gwf"
    raw = gone.read_bytes()
    gone.unlink()
    if not listed:
        del site.listed[1]
        site.ffl.write_text("".join(site.listed))
    site.rebuild(180)
    same(site.read("V1:A")[0], ramp(180))
    files = site.json("summary")["frame_files"]
    assert (files["kept"], files["absent"], files["used"]) == (1, 0, 2)
    again = site.frames / f"V-again-{START + 60}-60.gwf"
    again.write_bytes(raw)
    site.list(again, START + 60, 60)
    site.rebuild(180)
    same(site.read("V1:A")[0], ramp(180))
    files = site.json("summary")["frame_files"]
    assert (files["kept"], files["used"]) == (0, 3)


def test_a_channel_that_is_wanted_while_a_frame_is_gone_has_all_of_it_when_the_frame_is_back(site, tmp_path):
    """The frame is what it was, and so are the samples that were kept of it; of the new channel it was never read."""
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute))
    site.want("V1:A")
    site.build(180)
    gone, aside = site.frames / f"V-test-{START + 60}-60.gwf", tmp_path / "aside"
    gone.rename(aside)
    site.want("V1:A", "V1:B")
    for parts in (1, 0):
        site.rebuild(180)
        same(site.read("V1:A")[0], ramp(180))
        same(site.read("V1:B")[0], [*range(60), *[NAN] * 60, *range(120, 180)])
        assert len(list(site.parts.glob("*.h5"))) == parts
    aside.rename(gone)
    site.rebuild(180)
    same(site.read("V1:B")[0], ramp(180))
    assert contents(site.h5) == contents(site.fresh(tmp_path / "fresh", 180).h5)
    # And a frame that was kept, of which all is known, is not read again.
    gone.rename(aside)
    site.rebuild(180)
    aside.rename(gone)
    site.rebuild(180)
    assert not list(site.parts.glob("*.h5")) and site.json("summary")["frame_files"]["kept"] == 0


def test_of_a_frame_that_is_gone_it_stays_known_why_a_channel_had_nothing_in_it(site):
    """Though a frame that shares an increment with it has come since, and that is read anew."""
    site.frame(0, 30, both(0, count=30))
    path = site.frame(30, 30, [signal("V1:A", 30, 30), signal("V1:B", 30, 30, mask=np.ones(30, "u2"))])
    site.build(120)
    path.unlink()
    site.frame(60, 60, both(1))
    site.frame(0, 30, both(0, count=30, offset=7))
    site.rebuild(120)
    same(site.read("V1:A")[0], [*range(7, 37), *range(30, 120)])
    told = inside("why-missing", site.out, "V1:B", str(START), str(START + 120)).stdout.split("\t")
    assert told[:3] == [str(START + 30), str(START + 60), "mask"] and told[4] == str(path)


def test_a_list_that_shrinks_and_a_frame_that_is_gone_at_once_lose_nothing(site):
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute))
    site.build(180)
    del site.listed[1]
    site.ffl.write_text("".join(site.listed))
    site.frame(180, 60, both(3))
    site.want("V1:B")
    site.rebuild(180)
    for name in ("V1:A", "V1:B"):
        same(site.read(name)[0], ramp(180))
    summary = site.json("summary")
    assert (summary["kept_frames"], summary["kept_channels"]) == (1, ["V1:A"])
    site.rebuild(180, shrink=True)
    assert site.names("valid") == ["V1:B"]
    same(site.read("V1:B")[0], [*range(60), *[NAN] * 60, *range(120, 180)])


@pytest.mark.parametrize("lost", ["a channel", "a minute", "a second"])
def test_a_day_that_is_made_anew_may_have_no_less_than_the_one_that_is_there(site, lost):
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute))
    site.build(180)
    before = site.h5.read_bytes()
    if lost == "a channel":
        site.want("V1:A")
    else:
        site.listed[1:2] = [] if lost == "a minute" else [site.listed[1].replace(" 60 0 0", " 59 0 0")]
        site.ffl.write_text("".join(site.listed))
    done = site.build(180, check=False)
    seconds = {"a channel": 180, "a minute": 60, "a second": 1}[lost]
    assert done.returncode == 3 and f"would lose {seconds} s of 'V1:B'" in done.stderr
    assert site.h5.read_bytes() == before
    site.build(180, shrink=True)
    assert site.h5.read_bytes() != before


@pytest.mark.parametrize("damaged", ["the file", "a channel"])
def test_a_frame_that_changed_and_cannot_be_read_is_no_reason_to_lose_what_it_gave(site, monkeypatch, damaged):
    """A day that is made anew, with another compression, has nothing of the one before but what the frames give."""
    for minute in range(3):
        site.frame(60 * minute, 60, both(minute))
    site.build(180)
    before, lines = site.h5.read_bytes(), list(site.listed)
    site.frame(60, 60, both(1, offset=5000))
    site.ffl.write_text("".join(lines))
    with monkeypatch.context() as failing:
        refuse(failing, (f"{START + 60}-60.gwf", "" if damaged == "the file" else "V1:B"), error=DAMAGED)
        done = site.rebuild(180, "--compression", "none", check=False)
    assert done.returncode == 3 and "would lose 60 s of 'V1:B'" in done.stderr
    assert site.h5.read_bytes() == before
    # Read, it has the last word, though it has less.
    site.frame(60, 60, both(1, count=30, offset=5000))
    site.ffl.write_text("".join(lines))
    site.rebuild(180, "--compression", "none")
    same(site.read("V1:B")[0], [*range(60), *range(5060, 5090), *[NAN] * 30, *range(120, 180)])


# --- many days -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations([COMPLETED, FAILED, QUEUED], 2)))
def test_of_a_date_in_two_specs_the_one_that_is_further_from_done_is_told(tmp_path, order):
    for spec, state in zip(("V1raw", "V1trend"), order, strict=True):
        folder = Folder.of(str(tmp_path), spec, DAY)
        os.makedirs(folder.work)
        folder.note(date=DAY, status=state, error="why" if state == FAILED else None)
    made = index.write(str(tmp_path))
    assert made["days"][DAY]["status"] == (FAILED if FAILED in order else QUEUED)
    assert {spec: days[DAY]["status"] for spec, days in made["specs"].items()} == dict(
        zip(("V1raw", "V1trend"), order, strict=True)
    )
    assert made["stats"]["total"] == 1


def test_days_that_failed_each_of_something_else_are_each_told(tmp_path):
    """One has no frame, one failed, one was stopped, one is missing, one is done and its file is gone."""
    out = str(tmp_path)
    days = [f"2024-04-{number}" for number in range(10, 16)]
    states = (
        {"status": FAILED, "error": "no frame of it", "reason": NO_FRAME},
        {"status": FAILED, "error": "disk full"},
        {"status": RUNNING},
        None,
        {"status": COMPLETED},
        {"status": COMPLETED},
    )
    for day, state in zip(days, states, strict=True):
        if state:
            folder = Folder.of(out, "V1trend", day)
            os.makedirs(folder.work)
            folder.note(date=day, **state)
    folder = Folder.of(out, "V1trend", days[5])
    bad = [("/a", "one", {}), ("/a", "two", {"channel": "V1:A"}), ("/b", "three", {})]
    told = [{"path": path, "reason": reason, **more} for path, reason, more in bad]
    with open(folder.h5, "w"), open(folder.summary, "w") as summary:
        json.dump({"unreadable_frames": 1, "bad_frames": told}, summary)
    # Of a day that failed the fault is that: what it lacks is told when it is done.
    other = Folder.of(out, "V1trend", days[1])
    shutil.copy(folder.h5, other.h5)
    shutil.copy(folder.summary, other.summary)
    found = list(faults.of_days(out))
    assert [(each.kind, each.where) for each in found] == [
        *((faults.DAY, day) for day in days[:5]),
        *[(faults.FRAME, days[5])] * 2,
    ]
    reasons = [each.reason for each in found]
    assert reasons[:2] == ["no frame of it", "disk full"] and reasons[4] == "the day file is gone"
    assert reasons[5:] == ["one; and 1 more", "three"]
    totals = status.totals(status.days_of(out))
    assert [totals[name] for name in ("completed", "failed", "interrupted", "missing")] == [1, 3, 1, 1]


# --- keepers of frames -----------------------------------------------------------------------


class Says:
    """A keeper that says one thing of every frame."""

    def __init__(self, why, blocked=None):
        self.why, self.blocked = why, blocked

    def concerns(self, frame):
        return True

    def hold(self, days, held, remove):
        return self.blocked

    def objection(self, frame, days):
        return self.why

    def note_removal(self, frames, days):
        pass


UNKNOWN_TO, WRONG = Kept(Reason.UNKNOWN, "unknown"), Kept(Reason.WRONG, "wrong")
UNFINISHED = Kept(Reason.UNFINISHED, "unfinished")


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ((None, None), None),
        ((None, UNKNOWN_TO), None),
        ((UNKNOWN_TO, None), None),
        ((UNKNOWN_TO, UNKNOWN_TO), UNKNOWN_TO),
        ((None, WRONG), WRONG),
        ((WRONG, None), WRONG),
        ((UNKNOWN_TO, UNFINISHED), UNFINISHED),
        ((UNFINISHED, WRONG), UNFINISHED),
    ],
)
def test_a_frame_goes_only_when_every_keeper_that_knows_it_lets_it(tmp_path, says, why):
    path = stub(tmp_path)
    today = retention.datetime.date(2024, 5, 10)
    found = list(retention.prune(str(tmp_path), [Says(each) for each in says], 1, True, today))
    assert found == [(str(path), why)] and path.exists() == bool(why)
    path = stub(tmp_path)
    blocked = [Says(each, UNFINISHED if at else None) for at, each in enumerate(says)]
    assert list(retention.prune(str(tmp_path), blocked, 1, True, today)) == [(str(path), UNFINISHED)]
    assert path.exists()
