"""serve-streams --days: days, channels, and min, max and mean of a channel over any span of days."""

import contextlib
import ctypes
import itertools
import json
import math
import os
import shutil

import h5py
import numpy as np
import pytest
from framemake import gps
from framemake.day.folder import Folder
from framemake.gwf.write import Signal, write
from framemake.serve import dayfiles, days, holes, spans
from framemake.serve.query import Refused
from support import stream_files
from support.serving import served
from support.sites import Site, command

HOUR, QUARTER = 3600, 900
FIRST, SECOND = "2024-04-10", "2024-04-11"
BEGIN = gps.day_window(FIRST).start


def noise(start, count, rate):
    """Samples that only their time decides, some of them NaN."""
    seconds = start + np.arange(count) / rate
    found = 100 + 10 * np.sin(seconds / 3000) + (np.arange(count) * 7919 % 13)
    found[(seconds.astype(int) // 50) % 40 == 3] = np.nan
    return found.astype("f4")


def day(out, date, hours, unit="V", spec="V1trend", rates=None):
    """Build the first hours of a day, the quarter of an hour before the last missing, by the real commands."""
    site, window = Site(out.parent / f"work-{date}-{spec}"), gps.day_window(date)
    rates = rates or {"V1:SLOW": 1.0, "V1:FAST": 16.0, "V1:TENTH": 0.1}
    for start in range(0, hours * HOUR, QUARTER):
        if start == hours * HOUR - 2 * QUARTER:
            continue
        signals = [Signal(name, noise(start, int(QUARTER * rate), rate), rate, unit) for name, rate in rates.items()]
        path = site.frames / f"V-test-{window.start + start}-{QUARTER}.gwf"
        write(path, [(window.start + start, QUARTER, signals)])
        site.list(path, window.start + start, QUARTER)
    site.want(*rates, "V1:NEVER")
    folder = out / f"{spec}-{date}"
    folder.mkdir(parents=True)
    h5 = folder / f"{spec}_{date.replace('-', '')}.h5"
    parts = site.folder / "parts"
    end = str(window.start + hours * HOUR)
    command("extract-increment", site.ffl, site.channels, "--start", str(window.start), "--end", end, "--parts", parts)
    command("pad-merge", parts, "--out", h5, "--requested", site.channels)
    command("summarize", h5, "--index", out)
    return h5


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Six hours of one day, and two of the one but next."""
    folder = tmp_path_factory.mktemp("days") / "out"
    day(folder, FIRST, 6)
    day(folder, "2024-04-12", 2)
    return folder


@pytest.fixture(scope="module")
def server(out, tmp_path_factory):
    streams = tmp_path_factory.mktemp("streams")
    stream_files.Written().file(BEGIN, 60, [1.0] * 10).write(streams, "H0:PEM-EX_WIND")
    with served(streams, "--days", out) as running:
        yield running


def samples(out, name):
    """(times, samples) of a channel over all days, as h5py reads them."""
    found = []
    for path in sorted(out.glob("V1trend-*/*.h5")):
        with h5py.File(path) as file:
            held = file["channels"][name]
            found.append((held.attrs["t0"] + np.arange(len(held)) / held.attrs["sample_rate"], held[:]))
    return (np.concatenate(each) for each in zip(*found, strict=True))


def plainly(out, name, edges):
    """min, max and mean of each point by going through the samples of each, None where none is good."""
    times, held = samples(out, name)
    told = {"min": [], "max": [], "mean": []}
    for begin, end in itertools.pairwise(edges):
        inside = held[(times >= begin - 1e-6) & (times < end - 1e-6)].astype(float)
        inside = inside[~np.isnan(inside)]
        for key, of in (("min", np.min), ("max", np.max), ("mean", np.mean)):
            told[key].append(float(of(inside)) if len(inside) else None)
    return told


def same(found, wanted):
    for key, values in wanted.items():
        assert len(found[key]) == len(values)
        for got, want in zip(found[key], values, strict=True):
            assert (got is None) == (want is None)
            assert got is None or math.isclose(got, want, rel_tol=1e-12 if key == "mean" else 0)


def test_days_are_listed_with_those_between_that_are_missing(server):
    told = server.get("/api/days").json["days"]
    keys = ("day", "spec", "status", "start", "end", "file", "channels")
    assert [tuple(entry[key] for key in keys) for entry in told] == [
        (FIRST, "V1trend", "completed", BEGIN, BEGIN + 86400, True, 3),
        (SECOND, "V1trend", "missing", BEGIN + 86400, BEGIN + 172800, False, None),
        ("2024-04-12", "V1trend", "completed", BEGIN + 172800, BEGIN + 259200, True, 3),
    ]
    assert 0.9 < told[0]["coverage"] < 0.95 and told[0]["finished"] and told[0]["error"] is None
    assert told[1]["coverage"] is None and (told[1]["absent"], told[1]["damaged"]) == (0, 0)


def test_how_much_of_each_point_is_there_is_told(server):
    for name in ("V1:SLOW", "V1:FAST"):
        told = server.get("/api/day-values", name, start=BEGIN, end=BEGIN + 8 * HOUR, points=32).json["series"][0]
        parts = told["covered"]
        # The last quarter but one of the six hours is missing, and what is after them.
        assert [at for at, part in enumerate(parts) if part == 0] == [22, *range(24, 32)]
        assert all(0.9 < parts[at] <= 1 for at in range(22)) and min(parts[:22]) < 0.95
    # Points that are shorter than a sample: it begins in one of them.
    (told,) = server.get("/api/day-values", "V1:TENTH", start=BEGIN, end=BEGIN + 60, points=60).json["series"]
    assert sum(part > 0 for part in told["covered"]) == 6


def test_why_a_span_is_missing_is_told_without_the_machine_s_folders(server, out):
    hole = BEGIN + 6 * HOUR - 2 * QUARTER
    told = server.get("/api/missing", "V1:SLOW", start=hole - 10, end=hole + QUARTER + 10).json
    (reason,) = [each for each in told["missing"] if each["kind"] == "no file listed"]
    assert (reason["start"], reason["end"], reason["day"]) == (hole, hole + QUARTER, FIRST)
    assert told["more"] is False and str(out.parent) not in json.dumps(told)
    (reason,) = server.get("/api/missing", "V1:SLOW", start=BEGIN + 86400, end=BEGIN + 86500).json["missing"]
    assert reason["kind"] == "day not built"
    nan = server.get("/api/missing", "V1:SLOW", start=BEGIN + 150, end=BEGIN + 160).json["missing"]
    assert [each["kind"] for each in nan] == ["NaN in the frame"]
    assert server.get("/api/missing", "V1:SLOW", start=BEGIN, end=BEGIN + 9 * 86400).json["more"] is True
    assert server.get("/api/missing", "V1:SLOW", start=BEGIN, end=BEGIN + 10).json == {"missing": [], "more": False}
    assert server.get("/api/missing", "V1:NONE", start=BEGIN, end=BEGIN + 10).status == 404
    assert server.get("/api/missing", start=BEGIN, end=BEGIN + 10).status == 400


class Opened:
    """Which files of a folder anybody opens: inotify's own account, whichever process it is."""

    _OPEN, _NONBLOCK = 0x20, os.O_NONBLOCK

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(self._NONBLOCK)
        assert libc.inotify_add_watch(self._handle, os.fsencode(folder), self._OPEN) > 0

    def since(self):
        """How many times since it was asked last."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            raw = os.read(self._handle, 1 << 16)
            while raw:
                count, raw = count + 1, raw[16 + int.from_bytes(raw[12:16], "little") :]
        return count


def test_of_a_fast_channel_no_more_samples_are_looked_at_than_of_others(out, monkeypatch):
    asked, found = [], holes.Holes(str(out))
    monkeypatch.setattr(found, "_reasons", lambda *given: asked.append(given[2:]) or [])
    assert found.missing("V1:RAW", "V1trend", 20_000.0, BEGIN, BEGIN + 86400) == {"missing": [], "more": True}
    assert found.missing("V1:SLOW", "V1trend", 0.1, BEGIN, BEGIN + 86400)["more"] is False
    assert asked == [(BEGIN, BEGIN + 800), (BEGIN, BEGIN + 86400)]


def test_no_frame_file_is_opened_to_tell_why(server, out):
    frames = next((out.parent / f"work-{FIRST}-V1trend" / "frames").iterdir())
    opened = Opened(frames.parent)
    command("why-missing", out, "V1:SLOW", BEGIN + 150, BEGIN + 160)
    assert opened.since() > 0
    for name in ("V1:SLOW", "V1:FAST", "V1:TENTH"):
        told = server.get("/api/missing", name, start=BEGIN, end=BEGIN + 6 * HOUR).json["missing"]
        assert {each["kind"] for each in told} >= {"NaN in the frame"}
    assert opened.since() == 0


@pytest.mark.quick
def test_channels_are_listed_with_rate_and_unit(server):
    told = server.get("/api/channels").json["channels"]
    assert told == [
        {"name": name, "rate": rate, "unit": "V", "spec": "V1trend", "subsystem": "", "title": ""}
        for name, rate in (("V1:FAST", 16.0), ("V1:SLOW", 1.0), ("V1:TENTH", 0.1))
    ]
    assert server.get("/api/channels", spec="V1trend").json["channels"] == told
    assert server.get("/api/channels", spec="none").json["channels"] == []


@pytest.mark.parametrize("name", ("V1:SLOW", "V1:FAST", "V1:TENTH"))
@pytest.mark.parametrize(
    ("start", "end", "points"),
    (
        (BEGIN, BEGIN + 6 * HOUR, 24),
        (BEGIN - 5000, BEGIN + 3 * 86400, 100),
        (BEGIN + 100.25, BEGIN + 111.75, 7),
        (BEGIN + 1, BEGIN + 2, 50),
        (BEGIN + 17, BEGIN + 172800 + 5017, 1),
        (BEGIN + 86400, BEGIN + 90000, 3),
        (1, 100, 4),
    ),
)
def test_values_are_min_max_and_mean_of_the_samples_of_each_point(server, out, name, start, end, points):
    told = server.get("/api/day-values", name, start=start, end=end, points=points).json
    assert (told["start"], told["end"]) == (start, end)
    (series,) = told["series"]
    edges = [*series["times"], end]
    assert np.allclose(edges, np.linspace(start, end, points + 1), rtol=0, atol=1e-6)
    same(series, plainly(out, name, edges))
    assert series["unit"] == "V" and "problem" not in series


def test_several_channels_and_csv(server):
    ask = {"start": BEGIN, "end": BEGIN + HOUR, "points": 3}
    told = server.get("/api/day-values", "V1:SLOW", "V1:FAST", **ask).json["series"]
    assert [series["name"] for series in told] == ["V1:SLOW", "V1:FAST"]
    lines = server.get("/api/day-values", "V1:SLOW", "V1:FAST", format="csv", **ask).body.decode().split("\n")
    assert lines[0] == "name,unit,gps,min,max,mean" and len(lines) == 8
    first = told[0]
    assert lines[1] == f"V1:SLOW,V,{first['times'][0]},{first['min'][0]},{first['max'][0]},{first['mean'][0]}"
    assert len(server.get("/api/day-values", "V1:SLOW", start=BEGIN, end=BEGIN + HOUR).json["series"][0]["min"]) == 800


@pytest.mark.parametrize("name", ("V1:SLOW", "V1:FAST", "V1:TENTH"))
@pytest.mark.parametrize(
    ("start", "end", "points"),
    (
        (BEGIN, BEGIN + 6 * HOUR, 5),
        (BEGIN, BEGIN + 6 * HOUR, 1000),
        (BEGIN - 5000.5, BEGIN + 3 * 86400 + 0.25, 40),
        (BEGIN + 1234.5, BEGIN + 172800 + 5017, 9),
        (BEGIN + 1234.5, BEGIN + 1300, 9),
    ),
)
def test_points_on_units_have_all_samples_and_no_other(out, monkeypatch, name, start, end, points):
    """Of long spans no more is read than a part of the first and the last unit, and nothing is lost by it."""
    monkeypatch.setattr(spans, "MOST_SAMPLES", 0)
    (series,) = days.ServedDays(str(out)).curves([name], "", start, end, points)
    assert len(series.times) <= points and series.times[0] == start
    edges = [*series.times.tolist(), end]
    assert np.all(np.diff(edges) > 0)
    told = {"min": series.min, "max": series.max, "mean": series.mean}
    told = {key: [None if value != value else float(value) for value in values] for key, values in told.items()}
    same(told, plainly(out, name, edges))


@pytest.mark.parametrize("rate", (0.01, 0.1, 1 / 60, 1.0, 3.0, 50.0, 1000.0, 16384.0, 20000.0))
def test_a_sample_on_an_edge_belongs_to_the_point_that_begins_there(rate):
    """Whatever float64 makes of its time: that holds a GPS second to a ten-millionth."""
    held = dayfiles.OpenChannel("", (), "", rate, "V", float(BEGIN), 10**9, 7200, None)
    number = np.arange(0, 5000)
    assert (spans._samples_at(held, BEGIN + number / rate) == number).all()
    assert (spans._samples_at(held, BEGIN + (number + 0.1) / rate) == number + 1).all()


def test_points_on_units_read_only_the_ends(out, monkeypatch):
    read = []
    kept = dayfiles.read_samples
    monkeypatch.setattr(dayfiles, "read_samples", lambda day, runs: read.extend(runs) or kept(day, runs))
    monkeypatch.setattr(spans, "MOST_SAMPLES", 0)
    days.ServedDays(str(out)).curves(["V1:SLOW"], "", BEGIN + 100, BEGIN + 5 * HOUR, 10)
    assert read == [(100, 7200), (14400, 18000)]
    read.clear()
    days.ServedDays(str(out)).curves(["V1:SLOW"], "", BEGIN, BEGIN + 3 * 86400, 10)
    assert read == []


@pytest.mark.parametrize(
    ("path", "status", "words"),
    (
        ("name=V1:NEVER&start=1&end=2", 404, "no such channel: 'V1:NEVER'"),
        ("name=/provenance/inputs&start=1&end=2", 404, "no such channel"),
        ("name=../provenance/inputs&start=1&end=2", 404, "no such channel"),
        ("name=.&start=1&end=2", 404, "no such channel"),
        ("name=&start=1&end=2", 404, "no such channel"),
        ("name=V1:SLOW%00&start=1&end=2", 404, "no such channel"),
        ("name=V1:SLOW&spec=none&start=1&end=2", 404, "no such channel"),
        ("name=V1:SLOW&start=2&end=1", 400, "the span is empty"),
        ("name=V1:SLOW&start=1&end=2&points=10001", 400, "points is from 1 to 10000"),
        ("name=V1:SLOW&start=1&end=2&kind=mean", 400, "no such parameter"),
    ),
)
def test_a_wrong_request_gets_one_line_that_says_why(server, path, status, words):
    answer = server.ask("GET", f"/api/day-values?{path}")
    assert answer.status == status and words in answer.error


@pytest.mark.parametrize("kind", ("link", "virtual", "external"))
def test_what_leads_out_of_a_day_file_is_not_followed(out, tmp_path, kind):
    shutil.copytree(out, tmp_path / "out")
    (path,) = (tmp_path / "out").glob(f"*{FIRST}/*.h5")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.arange(21600.0)
    with h5py.File(path, "r+") as file:
        del file["channels/V1:SLOW"]
        if kind == "link":
            file["channels/V1:SLOW"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((21600,), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (21600,))
            made = file["channels"].create_virtual_dataset("V1:SLOW", layout)
        else:
            (tmp_path / "other.raw").write_bytes(np.arange(21600.0).tobytes())
            raw = [(str(tmp_path / "other.raw"), 0, h5py.h5f.UNLIMITED)]
            made = file["channels"].create_dataset("V1:SLOW", (21600,), "f8", external=raw)
        if kind != "link":
            made.attrs.update(channel="V1:SLOW", sample_rate=1.0, unit="V", t0=float(BEGIN))
    (series,) = days.ServedDays(str(tmp_path / "out")).curves(["V1:SLOW"], "", BEGIN, BEGIN + HOUR, 3)
    assert np.isnan(series.mean).all()


def test_the_order_and_the_form_of_the_provenance_do_not_matter(out, tmp_path):
    ask = (["V1:SLOW", "V1:TENTH"], "", BEGIN, BEGIN + HOUR, 3)
    wanted = days.ServedDays(str(out)).curves(*ask)
    shutil.copytree(out, tmp_path / "out")
    for path in (tmp_path / "out").glob("*/*.h5"):
        with h5py.File(path, "r+") as file:
            inputs = json.loads(file["provenance/inputs"][()])
            del file["provenance/inputs"]
            text = json.dumps(dict(reversed(inputs.items())), indent=3, separators=(" ,", " : "))
            file["provenance/inputs"] = np.bytes_(text.encode())
    known = days.ServedDays(str(tmp_path / "out"))
    assert known.channels() == days.ServedDays(str(out)).channels()
    for found, curve in zip(known.curves(*ask), wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(found[1:5], curve[1:5], strict=True)) and curve.unit == "V"


def test_a_day_that_is_made_again_is_seen_at_once(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    known = days.ServedDays(str(tmp_path / "out"))
    ask = (["V1:SLOW"], "", BEGIN, BEGIN + HOUR, 4)
    before, tag = known.curves(*ask)[0].mean, known.tag(BEGIN, BEGIN + HOUR)
    shutil.rmtree(tmp_path / "out" / f"V1trend-{FIRST}")
    day(tmp_path / "out", FIRST, 1, rates={"V1:SLOW": 1.0, "V1:NEW": 1.0})
    after = known.curves(*ask)[0].mean
    assert not np.isnan(before).any() and np.isnan(after).tolist() == [False, False, True, False]
    assert known.tag(BEGIN, BEGIN + HOUR) != tag
    assert "V1:NEW" in [entry["name"] for entry in known.channels()]


def test_a_day_is_shown_while_it_is_made_again(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    known = days.ServedDays(str(tmp_path / "out"))
    folder = str(tmp_path / "out" / f"V1trend-{FIRST}")
    Folder.at(folder).note(status="failed", error="a test")
    assert known.listing()[0]["status"] == "failed"
    assert not np.isnan(known.curves(["V1:SLOW"], "", BEGIN, BEGIN + HOUR, 4)[0].mean).any()


def test_a_day_file_without_a_state_as_export_streams_writes_it_is_a_day(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    for path in (tmp_path / "out" / f"V1trend-{FIRST}").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".h5":
            path.unlink()
    known = days.ServedDays(str(tmp_path / "out"))
    assert (known.listing()[0]["status"], known.listing()[0]["channels"]) == ("completed", None)
    assert not np.isnan(known.curves(["V1:FAST"], "", BEGIN, BEGIN + HOUR, 4)[0].mean).any()


def test_days_in_another_unit_are_left_out_and_told(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    day(tmp_path / "out", "2024-04-13", 1, unit="mV", rates={"V1:SLOW": 1.0})
    (series,) = days.ServedDays(str(tmp_path / "out")).curves(["V1:SLOW"], "", BEGIN, BEGIN + 4 * 86400, 4)
    assert (series.unit, series.problem) == ("mV", "unit changes, days in another than the last are left out: 'V'")
    assert np.isnan(series.mean).tolist() == [True, True, True, False]


def test_a_channel_that_two_specs_have_needs_to_be_told_which(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    day(tmp_path / "out", FIRST, 1, spec="V1raw", rates={"V1:SLOW": 1.0, "V1:RAW": 50.0})
    known = days.ServedDays(str(tmp_path / "out"))
    ask = (BEGIN, BEGIN + HOUR, 2)
    with pytest.raises(Refused, match=r"several specs have the channel, spec says which \(V1raw, V1trend\)"):
        known.curves(["V1:SLOW"], "", *ask)
    assert known.curves(["V1:SLOW"], "V1raw", *ask)[0].times[0] == BEGIN
    assert known.curves(["V1:RAW", "V1:FAST"], "", *ask)[1].unit == "V"


def test_a_damaged_day_file_is_told_and_not_where_it_lies(out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    known = days.ServedDays(str(tmp_path / "out"))
    known.channels()
    (path,) = (tmp_path / "out").glob(f"*{FIRST}/*.h5")
    path.write_bytes(b"nothing")
    with pytest.raises(Refused, match=r"day file cannot be read, try again: 'V1trend-2024-04-10/V1trend_20240410\.h5'"):
        known.curves(["V1:SLOW"], "", BEGIN, BEGIN + HOUR, 2)


def test_too_many_days_at_once_are_refused(out, monkeypatch):
    monkeypatch.setattr(days, "MOST_FILES", 1)
    with pytest.raises(Refused, match="at most 1 days of all names together: 2"):
        days.ServedDays(str(out)).curves(["V1:SLOW"], "", BEGIN, BEGIN + 4 * 86400, 2)


def test_long_spans_leave_threads_for_the_others(out, monkeypatch):
    monkeypatch.setattr(days, "LONG", 1)
    known = days.ServedDays(str(out))
    ask = (["V1:SLOW"], "", BEGIN, BEGIN + 4 * 86400, 2)
    assert known.curves(*ask)
    for _ in range(days.LONG_ONES):
        known._long.acquire()
    with pytest.raises(Refused, match="busy with other long spans, try again") as refusal:
        known.curves(*ask)
    assert refusal.value.status == 503
    assert known.curves(["V1:SLOW"], "", BEGIN, BEGIN + HOUR, 2)


def test_what_is_kept_has_a_limit(out, monkeypatch):
    cache = dayfiles.OpenChannels()
    path = str(next(out.glob(f"*{FIRST}/*.h5")))
    held = cache.channel(path, "V1:SLOW")
    assert cache.channel(path, "V1:SLOW") is held
    monkeypatch.setattr(dayfiles, "_KEPT", 1000)
    for name in ("V1:FAST", "V1:TENTH"):
        cache.channel(path, name)
    assert len(cache._held) == 1 and cache._size <= 1000


def test_an_empty_folder_has_no_days(tmp_path):
    known = days.ServedDays(str(tmp_path))
    assert (known.listing(), known.channels()) == ([], [])
    with pytest.raises(Refused, match="no such channel"):
        known.curves(["V1:SLOW"], "", 1, 2, 3)


def test_nothing_changed_is_304(server):
    for path in (f"/api/day-values?name=V1:SLOW&start={BEGIN}&end={BEGIN + 60}", "/api/days", "/api/channels"):
        tag = server.ask("GET", path).headers["etag"]
        assert server.ask("GET", path, headers={"If-None-Match": tag}).status == 304


def test_answers_are_strict_json(server):
    answer = server.get("/api/day-values", "V1:SLOW", start=1, end=100, points=4)
    assert b"NaN" not in answer.body and json.loads(answer.body)["series"][0]["min"] == [None] * 4
