"""make-report: what it tells of days is what their samples and notes say, whatever they are called."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import framemake
import numpy as np
import pytest
from framemake import gps
from framemake.day.folder import Folder
from framemake.errors import BadInput
from framemake.frames import catalog
from framemake.report import facts, gather, kept, site
from support import days as made
from support.commands import ROOT, refused, run
from test_converter_days import converter_day

DAYS = ("2024-04-10", "2024-04-11", "2024-04-13")
# A name in HDF5 has no slash; the page must not care.
HOSTILE = ("V1:<script>alert(1)<img src=x onerror=alert(1)>", "V1:\"quotes\"_'and' `more` \\u2028 \u2028 ä", "V1:$(rm)")
SLASHED = "V1:</script><img src=x onerror=alert(1)>\udcff"


def ramp(date, **more):
    samples, rate, unit = made.ramp_day(date, **more)
    return samples.copy(), rate, unit


@pytest.fixture
def out(tmp_path):
    """Three days with one between them that is not there, and holes of every kind."""
    for number, date in enumerate(DAYS):
        whole, holed, fast = ramp(date), ramp(date), ramp(date, rate=2.0, unit="m")
        window = gps.day_window(date)
        names = {"V1:ENV_WHOLE": whole, "V1:ENV_HOLED": holed, "V1:SUS_FAST": fast}
        if number == 1:
            holed[0][3582:7182] = np.nan  # a file that gave nothing
            holed[0][20000:20010] = np.nan  # and within files
            holed[0][30000:33000:500] = np.nan
            holed[0][86000:] = np.nan
        if number == 2:
            # A file that is absent, for all; one of them begins later.
            holed[0][:7182] = np.nan
            fast[0][7164:14364] = np.nan
            del names["V1:ENV_WHOLE"]
        made.write_day(tmp_path / "out", date, names, frames=made.frames_of(window, absent=(1,) if number == 2 else ()))
    return tmp_path / "out"


def by_name(report):
    return {each.name: (at, each) for at, each in enumerate(report.channels)}


def samples_of(out, name):
    """The samples of the whole range, NaN where there is no day."""
    days = framemake.open_days(str(out))
    return days.read(name)


def read(path):
    """What a file of data holds."""
    text = path.read_text()
    assert text.startswith("framemake(") and text.endswith(");\n")
    name, content = json.loads("[" + text[10:-3] + "]")
    assert f"{name}.js" == path.name
    return content


def data_of(place):
    """The folder of data that the page of a site names, which is the only one."""
    (found,) = (path for path in (place / "data").iterdir() if path.is_dir())
    assert f'src="data/{found.name}/report.js"' in (place / "index.html").read_text()
    return found


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def numbers(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


# --- what it tells -----------------------------------------------------------------------------


def test_holes_are_those_of_the_samples_with_the_reasons_of_why_missing(out):
    report, days = gather.gather(str(out)), framemake.open_days(str(out))
    assert [each.name for each in report.channels] == ["V1:ENV_HOLED", "V1:ENV_WHOLE", "V1:SUS_FAST"]
    seen = 0
    for day in report.days:
        if day.facts is None:
            continue
        for row, name in enumerate(day.facts.names):
            start, end = day.facts.window
            holes = [day.facts.holes[at] for at in day.facts.sets[day.facts.set_of[row]]]
            told = [(start + hole.start, start + hole.end, hole.kind, hole.detail, hole.path) for hole in holes]
            assert told == [each[:5] for each in days.why(name, start, end)], (name, day.standing.date)
            seen += len(told)
    assert seen > 10


def test_holes_over_the_range_are_those_of_one_series(out):
    report = gather.gather(str(out))
    for name, (at, channel) in by_name(report).items():
        series = samples_of(out, name)
        gaps = [end - start for start, end in series.gaps()]
        assert (channel.gaps, channel.longest) == (len(gaps), max(gaps)), name
        assert channel.coverage == pytest.approx(float(series.good.mean()))
        days = series.good.reshape(len(report.days), -1)
        part = days.mean(axis=1)
        level = np.where(part == 1, 200, np.where(part > 0, np.clip(np.floor(200 * part), 1, 199), 0))
        level[[day.facts is None for day in report.days]] = gather.NO_DAY
        assert report.there[at].tolist() == level.tolist()


def test_values_are_those_of_the_samples(out):
    report, days = gather.gather(str(out)), framemake.open_days(str(out))
    for day in filter(lambda each: each.facts, report.days):
        for row, name in enumerate(day.facts.names):
            held = days.read(name, *day.facts.window).values.astype(float)
            wanted = np.nanmean(held), np.nanstd(held), np.nanmin(held), np.nanmax(held)
            np.testing.assert_allclose(day.facts.values[row], wanted, rtol=1e-6)


def test_in_a_state_only_what_lies_in_it_counts(out):
    begin = gps.day_window(DAYS[1]).start
    spans = [(begin - 100.0, begin + 3600.0), (begin + 20005.0, begin + 40000.0)]
    report, days = gather.gather(str(out), segments=("mine", spans)), framemake.open_days(str(out))
    assert report.state == "mine" and [day.facts and day.facts.asked for day in report.days] == [100, 23595, None, 0]
    for name, (at, channel) in by_name(report).items():
        held = np.concatenate([days.read(name, *span).values for span in spans])
        good = ~np.isnan(held)
        assert channel.coverage == pytest.approx(good.sum() / len(held)), name
        day = report.days[1].facts
        inside = np.concatenate([days.read(name, max(begin, a), b).values for a, b in spans]).astype(float)
        row = day.names.index(name)
        wanted = np.nanmean(inside), np.nanstd(inside), np.nanmin(inside), np.nanmax(inside)
        np.testing.assert_allclose(day.values[row], wanted, rtol=1e-6)
        holes = [day.holes[number] for number in day.sets[day.set_of[row]]]
        assert sum(hole.end - hole.start for hole in holes) == pytest.approx(np.isnan(inside).sum() / channel.rate)
        assert (report.there[at, 3], report.there[at, 0]) == (gather.NO_DAY, 200)


def test_an_expression_is_the_state_where_it_holds(out):
    text = "V1:ENV_WHOLE >= 1000500 and V1:ENV_WHOLE < 1000600"
    report = gather.gather(str(out), state=text)
    assert report.state == text and [day.facts and day.facts.asked for day in report.days] == [100, 0, None, 0]
    with pytest.raises(BadInput, match="not an expression"):
        gather.gather(str(out), state="V1:ENV_WHOLE >")


def test_samples_between_whole_seconds_leave_no_hole_at_the_ends_of_a_day(tmp_path):
    for date in DAYS[:2]:
        whole, late = ramp(date), ramp(date)
        late[0][: 10 if date == DAYS[1] else 0] = np.nan
        late[0][-5 if date == DAYS[0] else 86400 :] = np.nan
        late[0][100:200] = np.nan
        made.write_day(tmp_path, date, {"V1:LATE": late, "V1:WHOLE": whole}, offset=0.25)
    late, whole = gather.gather(str(tmp_path)).channels
    assert (whole.gaps, whole.coverage) == (0, 1)
    # One on each day, and one over midnight.
    assert (late.gaps, late.longest) == (3, 100)


def test_a_hole_of_a_slow_channel_is_where_its_samples_are(tmp_path):
    """A file that gave nothing ends between two samples of a minute."""
    samples, _, unit = ramp(DAYS[0], rate=1 / 60)
    samples[480:540] = np.nan
    made.write_day(tmp_path, DAYS[0], {"V1:SLOW": (samples, 1 / 60, unit)})
    (day,) = gather.gather(str(tmp_path)).days
    holes = [day.facts.holes[at] for at in day.facts.sets[day.facts.set_of[0]]]
    assert (holes[0].start, holes[-1].end) == (480 * 60, 540 * 60)


def test_files_that_came_late_are_told_and_of_which_channels(tmp_path):
    date = DAYS[0]
    window, names = gps.day_window(date), {"V1:A": ramp(date), "V1:B": ramp(date)}
    names["V1:B"][0][: 3600 + 3582] = np.nan
    frames = made.frames_of(window)
    for at, late in ((0, 86400 * 3), (1, 100), (5, 86400 * 2)):
        frames[at] = frames[at]._replace(mtime=int((frames[at].end + 315964782 + late) * 1e9))
    frames = [frame if frame.mtime > 10 else frame._replace(mtime=-1) for frame in frames]
    made.write_day(tmp_path, date, names, frames=frames)
    (day,) = gather.gather(str(tmp_path)).days
    assert day.facts.late_files == 2
    assert [(path, after) for path, _, _, after in day.facts.came] == [
        (frames[0].path, 86400 * 3), (frames[5].path, 86400 * 2),
    ]  # fmt: skip
    assert day.facts.late.tolist() == [86400 * 3, 86400 * 2]


@pytest.mark.parametrize(("limit", "value"), [("MOST_HOLES", 3), ("MOST_READ", 0)])
def test_beyond_a_limit_small_holes_count_for_the_coverage_alone(out, monkeypatch, limit, value):
    whole = by_name(gather.gather(str(out)))["V1:ENV_HOLED"][1]
    shutil.rmtree(out / kept.FOLDER)
    monkeypatch.setattr(facts, limit, value)
    some = by_name(gather.gather(str(out)))["V1:ENV_HOLED"][1]
    assert some.gaps < whole.gaps and (some.coverage, some.longest) == (whole.coverage, whole.longest)


def test_no_more_channels_than_a_limit_are_asked_of_a_file_that_is_there(tmp_path, monkeypatch):
    """What only a frame file tells says so, and is no guess."""
    date = DAYS[0]
    frames = made.frames_of(gps.day_window(date))
    path = tmp_path / "frame.gwf"
    path.write_bytes(b"none")
    seen = path.stat()
    frames[2] = frames[2]._replace(path=str(path), size=seen.st_size, mtime=seen.st_mtime_ns)
    names = {f"V1:C{number}": ramp(date) for number in range(4)}
    for samples, _, _ in names.values():
        samples[9000:9100] = np.nan
    made.write_day(tmp_path / "out", date, names, frames=frames)
    monkeypatch.setattr(facts, "MOST_ASKED", 1)
    (day,) = gather.gather(str(tmp_path / "out")).days
    kinds = [day.facts.holes[day.facts.sets[number][0]].kind for number in day.facts.set_of]
    assert kinds == ["channel damaged in the file", *["inside the file"] * 3]


# --- what is kept ------------------------------------------------------------------------------


def same(one, other):
    return site._main(one)["channels"] == site._main(other)["channels"] and (one.there == other.there).all()


def test_a_new_day_is_read_alone_and_one_that_is_made_again_anew(out):
    first = gather.gather(str(out))
    again = gather.gather(str(out))
    assert (first.new, again.new) == (3, 0) and same(first, again)
    assert again.days[1].facts.holes == first.days[1].facts.holes and again.days[1].facts.window[0] == gps.day_window(
        DAYS[1]
    ).start  # fmt: skip
    made.write_day(out, "2024-04-12", {"V1:ENV_WHOLE": ramp("2024-04-12")})
    more = gather.gather(str(out))
    assert more.new == 1 and more.days[2].facts is not None
    shutil.rmtree(out / f"V1trend-{DAYS[1]}")
    made.write_day(out, DAYS[1], {"V1:ENV_WHOLE": ramp(DAYS[1])})
    # What find-channels has taken of it meanwhile is not all.
    framemake.open_days(str(out)).channels()
    assert gather.gather(str(out)).new == 1
    shutil.rmtree(out / kept.FOLDER)
    assert same(gather.gather(str(out)), gather.gather(str(out), first=DAYS[0], last=DAYS[2]))


def test_a_state_has_what_is_kept_for_itself(out):
    begin = gps.day_window(DAYS[0]).start
    plain = gather.gather(str(out))
    assert gather.gather(str(out), segments=("s", [(begin, begin + 10)])).new == 3
    assert gather.gather(str(out), segments=("s", [(begin, begin + 10)])).new == 0
    # A state that goes on the next day reads that day alone.
    assert gather.gather(str(out), segments=("s", [(begin, begin + 10), (begin + 90000, begin + 90010)])).new == 1
    again = gather.gather(str(out))
    assert again.new == 0 and same(plain, again)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", None])
def test_what_was_kept_and_is_damaged_is_taken_anew(out, content):
    first = gather.gather(str(out))
    (place,) = (out / kept.FOLDER).iterdir()
    place.write_bytes(place.read_bytes()[:-2000] if content is None else content)
    again = gather.gather(str(out))
    assert again.new == 3 and same(first, again)


def test_a_day_file_that_cannot_be_read_is_told_and_the_others_are_shown(out, tmp_path):
    (path,) = (out / f"V1trend-{DAYS[1]}").glob("*.h5")
    path.write_bytes(b"no HDF5")
    status, told, said = run("make-report", out, tmp_path / "site")
    assert (status, told) == (3, f"{tmp_path}/site/index.html\n")
    assert said == f"make-report: day file cannot be read as HDF5: '{path}': {said.split(': ', 3)[3]}"
    main = read(data_of(tmp_path / "site") / "main.js")
    assert len(main["odd"]) == 1 and str(path) in main["odd"][0]
    day = read(data_of(tmp_path / "site") / "days-2024-04.js")[DAYS[1]]
    assert str(path) in day["problem"] and "holes" not in day


def test_a_day_of_which_frames_were_removed_is_shown_to_be_closed(out):
    folder = Folder.of(str(out), "V1trend", DAYS[1])
    with open(folder.pruned, "w") as told:
        told.write(catalog.table_line(catalog.Frame("/frames/gone.gwf", 0, 1, 1, 1)) + "\n")
    report = gather.gather(str(out))
    assert [day.closed for day in report.days] == [False, True, False, False]
    assert [site._day(day)[8] for day in report.days] == [0, 1, 0, 0]


def test_days_of_the_converter_are_shown(tmp_path):
    converter_day(tmp_path / "out", DAYS[0])
    report = gather.gather(str(tmp_path / "out"))
    assert report.channels and report.days[0].facts.seconds.sum() > 0


# --- the files ---------------------------------------------------------------------------------


def test_the_files_tell_what_was_gathered(out, tmp_path):
    report = gather.gather(str(out))
    page = site.write(report, str(tmp_path / "site"))
    assert page == str(tmp_path / "site" / "index.html")
    data = data_of(tmp_path / "site")
    names = sorted(path.name for path in data.iterdir())
    assert names == [
        "channels-000.js", "days-2024-04.js", "main.js", "report.css", "report.js", "values-2024-04.js",
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["data", "index.html"]
    main, days = read(data / "main.js"), read(data / "days-2024-04.js")
    assert [row[0] for row in main["channels"]] == [each.name for each in report.channels]
    assert (numbers(main["there"], "u1").reshape(3, 4) == report.there).all()
    block = read(data / "channels-000.js")
    values, sets = numbers(block["values"], "<f4").reshape(3, 4, 4), numbers(block["sets"], "<u2").reshape(3, 4)
    assert block["titles"] == [""] * len(report.channels) and main["words"]["VAC"] == "vacuum"
    by_day = read(data / "values-2024-04.js")
    for column, day in enumerate(report.days):
        own = numbers(by_day[day.standing.date], "<f4").reshape(3, 4)
        np.testing.assert_array_equal(own, values[:, column])
        if day.facts is None:
            assert (sets[:, column] == 0xFFFF).all() and "holes" not in days[day.standing.date]
            continue
        assert (numbers(days[day.standing.date]["set"], "<u2") == sets[:, column]).all()
        for row, name in enumerate(day.facts.names):
            np.testing.assert_array_equal(values[by_name(report)[name][0], column], day.facts.values[row])
    assert days["2024-04-12"]["problem"] == "there is no folder of the day"
    links = dict(days[DAYS[0]]["links"])
    assert os.path.samefile(tmp_path / "site" / links["day file (HDF5)"], report.days[0].standing.h5)


def test_a_report_over_an_earlier_one_leaves_nothing_of_it(out, tmp_path):
    place = str(tmp_path / "site")
    site.write(gather.gather(str(out)), place)
    first = data_of(tmp_path / "site")
    # What a stopped one left, and a report of an earlier form.
    (first.parent / ("0" * 16)).mkdir()
    for name in ("data/main.js", "data/days-1999-01.js", "report.js", "report.css"):
        (tmp_path / "site" / name).write_text("old")
    site.write(gather.gather(str(out), first=DAYS[2]), place)
    assert data_of(tmp_path / "site") != first and len(read(data_of(tmp_path / "site") / "main.js")["days"]) == 1
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["data", "index.html"]
    assert len(list((tmp_path / "site" / "data").iterdir())) == 2


def test_a_folder_of_other_files_is_not_written_to(out, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    told = refused("make-report", out, tmp_path / "mine")
    assert f"the folder has other files, want an empty one or a report: '{tmp_path}/mine'" in told
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["index.html"]


@pytest.mark.parametrize(
    "stopped",
    ["index.html", *(pytest.param(name, marks=pytest.mark.long) for name in ("report.js", "days-2024-04", "main"))],
)
def test_a_report_that_is_killed_leaves_the_old_one_or_none(out, tmp_path, stopped):
    """In a process of its own, which is killed as it begins to write a file."""
    place, code = (
        tmp_path / "site",
        """if True:
        import os, signal, sys
        from framemake import files
        from framemake.report import gather, site
        out, place, stopped = sys.argv[1:]
        def at(name, call):
            def called(*given, **more):
                if any(os.path.basename(str(each)) == name for each in given):
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*given, **more)
            return called
        site.shutil.copyfile = at(stopped, site.shutil.copyfile)
        site._put = at(stopped, site._put)
        files.write = at(stopped, files.write)
        site.write(gather.gather(out), place)
        """,
    )

    def kill():
        done = subprocess.run([sys.executable, "-c", code, out, place, stopped], env={"PYTHONPATH": str(ROOT / "lib")})
        assert done.returncode == -signal.SIGKILL

    kill()
    assert not (place / "index.html").exists()
    site.write(gather.gather(str(out)), str(place))
    page, old = (place / "index.html").read_text(), data_of(place)
    whole = files_of(old)
    kill()
    # The page still names the whole of the old one.
    assert (place / "index.html").read_text() == page and files_of(old) == whole
    # What somebody puts beside it stays, and is no hindrance.
    (place / "robots.txt").write_text("x")
    site.write(gather.gather(str(out)), str(place))
    assert (
        (place / "robots.txt").read_text() == "x"
        and not old.exists()
        and files_of(data_of(place)).keys() == whole.keys()
    )


def test_of_two_reports_at_once_one_waits(out, tmp_path):
    report, place = gather.gather(str(out)), str(tmp_path / "site")
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: site.write(report, place), range(8)))) == 1
    assert files_of(data_of(tmp_path / "site")).keys() >= {"main.js", "report.js", "days-2024-04.js"}


def test_what_cannot_be_written_leaves_nothing(out, tmp_path, monkeypatch):
    report = gather.gather(str(out))
    monkeypatch.setattr(site, "_main", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        site.write(report, str(tmp_path / "site"))
    assert [path.name for path in (tmp_path / "site" / "data").iterdir()] == [".lock"]


def test_no_day_several_specs_and_no_folder_are_one_line(out, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no day in folder" in refused("make-report", tmp_path / "empty", tmp_path / "site")
    made.write_day(out, DAYS[0], {"V1:A": ramp(DAYS[0])}, spec="V1raw")
    assert "several SPECs, --spec says which (V1raw, V1trend)" in refused("make-report", out, tmp_path / "site")
    assert "no such day" in refused("make-report", out, tmp_path / "site", "--first", "2024-02-30")
    assert not (tmp_path / "site").exists()


def test_names_of_any_kind_come_to_the_page_as_text(tmp_path):
    names = {name: ramp(DAYS[0]) for name in HOSTILE}
    listed = made.frames_of(gps.day_window(DAYS[0]), absent=(3,))
    frames = [frame._replace(path=f"/f/</script>{at}") for at, frame in enumerate(listed)]
    for samples, _, _ in names.values():
        samples[frames[3].start - gps.day_window(DAYS[0]).start :][:3600] = np.nan
    made.write_day(tmp_path / "out", DAYS[0], names, frames=frames, bad={(frames[4].path, HOSTILE[0]): "<b>&"})
    report = gather.gather(str(tmp_path / "out"))
    report.channels[-1] = report.channels[-1]._replace(name=SLASHED)
    site.write(report, str(tmp_path / "site"))
    for path in data_of(tmp_path / "site").glob("*-*.js"):
        text = path.read_bytes()
        assert b"<" not in text and text.isascii() and text.count(b"\n") == 1, path
    assert {row[0] for row in read(data_of(tmp_path / "site") / "main.js")["channels"]} == {
        *sorted(HOSTILE)[:2],
        SLASHED,
    }


def test_a_file_that_has_come_since_is_told(tmp_path):
    frames = made.frames_of(gps.day_window(DAYS[0]), folder=str(tmp_path), absent=(2, 3))
    names = {"V1:A": ramp(DAYS[0])}
    names["V1:A"][0][7182 : 7182 + 7200] = np.nan
    made.write_day(tmp_path / "out", DAYS[0], names, frames=frames)
    open(frames[3].path, "w").close()
    site.write(gather.gather(str(tmp_path / "out")), str(tmp_path / "site"))
    day = read(data_of(tmp_path / "site") / "days-2024-04.js")[DAYS[0]]
    assert [day["words"][at] for at in day["come"]] == [frames[3].path]
