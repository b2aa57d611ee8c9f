"""link-range: days built by make, read as one series, sample by sample what the day files hold."""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from framemake import gps
from support.commands import needs, refused, run, well
from support.sites import Site, signal

# 2024-04-12 is not built.
DAYS = ("2024-04-10", "2024-04-11", "2024-04-13")
ALL = ("2024-04-10", "2024-04-11", "2024-04-12", "2024-04-13")
# What the frames hold by channel: rate in Hz, and dtype.
RATES = {"V1:A%b": (1.0, "f4"), "V1:FAST": (20.0, "f8"), "V1:SLOW": (0.1, "f4"), "V1:MIN": (1 / 60, "f4")}


def start_of(day):
    return gps.day_window(day).start


def file_of(out, day):
    return out / f"V1trend-{day}" / f"V1trend_{day.replace('-', '')}.h5"


def build(site, day, *signals):
    """Build a day by make from one frame of 600 s, which begins on a multiple of 600 s."""
    start = -(-start_of(day) // 600) * 600
    site.frame(start - start_of("2024-04-10"), 600, signals)
    done = site.make(f"DAY={day}")
    assert done.returncode == 0, done.stderr


def standard(seed, **changes):
    """Signals of a day, of samples that no other day has."""
    made = []
    for name, (rate, dtype) in RATES.items():
        more = {"unit": "m", **changes.get(name, {})}
        first = more.pop("first", 100_000 * (seed + 1))
        rate, dtype = more.pop("rate", rate), more.pop("dtype", dtype)
        made.append(signal(name, round(600 * rate), first, rate, dtype, **more))
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The output folder of three days, which no test changes."""
    needs("make", "parallel", "jq")
    site = Site(tmp_path_factory.mktemp("range"))
    site.want(*RATES, "V1:LATER")
    for number, day in enumerate(DAYS):
        later = [signal("V1:LATER", 600, 7, unit="W")] if day == "2024-04-11" else []
        build(site, day, *standard(number), *later)
    return site.out


@pytest.fixture
def out(built, tmp_path):
    shutil.copytree(built, tmp_path / "out")
    return tmp_path / "out"


def joined(out, name, days=ALL):
    """The samples of a channel that the day files hold, one day after another, NaN for days that are not there."""
    pieces = []
    for day in days:
        path = file_of(out, day)
        total = round(RATES.get(name, (1.0,))[0] * 86400)
        piece = np.full(total, np.nan)
        if path.exists():
            with h5py.File(path) as file:
                if name in file["channels"]:
                    piece = file["channels"][name][()]
        pieces.append(piece)
    return np.concatenate(pieces)


def equal(path, out, names=(*RATES, "V1:LATER"), days=ALL):
    with h5py.File(path) as file:
        for name in names:
            dataset = file["channels"][name]
            assert dataset.is_virtual
            np.testing.assert_array_equal(dataset[()], joined(out, name, days))
            for day in days:
                if not file_of(out, day).exists():
                    continue
                with h5py.File(file_of(out, day)) as one:
                    if name not in one["channels"]:
                        continue
                    assert dataset.dtype == one["channels"][name].dtype
                    theirs = dict(one["channels"][name].attrs)
                    ours = dict(dataset.attrs)
                    shift = theirs.pop("t0") - ours.pop("t0")
                    assert ours == theirs
                    assert shift == start_of(day) - start_of(days[0])
        assert np.count_nonzero(~np.isnan(file["channels"]["V1:FAST"][()]))


def links(path):
    with h5py.File(path) as file:
        return json.loads(file["provenance/links"][()])


@pytest.mark.quick
def test_every_sample_is_the_day_files_and_a_missing_day_is_nan(out, tmp_path):
    path = tmp_path / "range.h5"
    status, printed, told = run("link-range", out, "--out", path)
    assert (status, printed) == (0, f"{path}\n")
    assert told == "link-range: left out as missing, NaN: 2024-04-12\n"
    equal(path, out)
    with h5py.File(path) as file:
        assert (file.attrs["start_dt"], file.attrs["end_dt"]) == (
            "2024-04-10T00:00:00+00:00",
            "2024-04-14T00:00:00+00:00",
        )
        assert file.attrs["increment_size"] == 600 and file.attrs["dama_name"] == "range"
        with h5py.File(file_of(out, DAYS[0])) as one:
            assert set(file.attrs) == set(one.attrs)
        # The grid of 0.1 Hz begins two seconds after the day does.
        assert file["channels/V1:SLOW"].attrs["t0"] == 1396742420


def test_gwpy_reads_it_as_one_series_from_any_folder(out, tmp_path):
    path = tmp_path / "range.h5"
    run("link-range", out, "--out", path)
    script = """
import sys, h5py, numpy as np
from gwpy.timeseries import TimeSeries
with h5py.File(sys.argv[1]) as file:
    for name in file["channels"]:
        series = TimeSeries.read(file, f"channels/{name}", format="hdf5")
        print(name, series.t0.value, series.dt.value, series.unit, series.channel)
        np.save(f"{sys.argv[2]}/{name}.npy", series.value)
    span = {"start": 1396742420 + 86400, "end": 1396742420 + 172800}
    np.save(f"{sys.argv[2]}/part.npy", TimeSeries.read(file, "channels/V1:SLOW", format="hdf5", **span).value)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, path, tmp_path]
    lines = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted([*RATES, "V1:LATER"])
    for line in lines:
        name, t0, dt, unit, channel = line.split()
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), joined(out, name))
        assert float(t0) == {"V1:SLOW": 1396742420, "V1:MIN": 1396742460}.get(name, 1396742418)
        assert float(dt) == 1 / RATES.get(name, (1.0,))[0]
        assert (channel, unit) == (name, "W" if name == "V1:LATER" else "m")
    np.testing.assert_array_equal(np.load(tmp_path / "part.npy"), joined(out, "V1:SLOW")[8640:17280])


def given_the_path(path, name):
    """How gwpy ends that is given the path of a range, in a process of its own: 0 and equal values, or an error."""
    script = """
import sys, h5py, numpy as np
from gwpy.timeseries import TimeSeries
name = "channels/" + sys.argv[2]
with h5py.File(sys.argv[1]) as file:
    values = file[name][()]
np.testing.assert_array_equal(TimeSeries.read(sys.argv[1], name, format="hdf5").value, values)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, path, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()[-1:]


@pytest.mark.long
def test_gwpy_given_the_path_reads_it_or_says_that_it_cannot(out, tmp_path):
    """It hands h5py a Python file object, through which HDF5 sees no other file: no wrong answer may come of that."""
    path = tmp_path / "range.h5"
    run("link-range", out, "--out", path)
    for name in RATES:
        status, told = given_the_path(path, name)
        assert status == 0 or (status == 1 and told[0].startswith("OSError")), (status, told)


@pytest.mark.parametrize("place", ["range.h5", "out/range.h5", "other folder/range.h5", "out/V1trend-2024-04-10/r.h5"])
def test_the_file_and_the_days_move_together(out, tmp_path, place, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    out = out.rename(home / "out")
    monkeypatch.chdir(tmp_path)
    assert run("link-range", "home/out", "--out", f"home/{place}")[0] == 0
    equal(home / place, out)
    moved = home.rename(tmp_path / "moved")
    equal(moved / place, moved / "out")
    assert not any(os.path.isabs(day["path"]) for day in links(moved / place)["days"])


def test_links_on_the_way_are_followed(out, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "here").symlink_to(tmp_path / "deep" / "er")
    (tmp_path / "days").symlink_to(out)
    assert run("link-range", tmp_path / "days", "--out", tmp_path / "here" / "range.h5")[0] == 0
    equal(tmp_path / "here" / "range.h5", out)
    assert run("link-range", tmp_path / "here" / ".." / ".." / "out", "--out", tmp_path / "here" / "range.h5")[0] == 0
    equal(tmp_path / "deep" / "er" / "range.h5", out)


def test_a_range_may_be_wider_or_narrower_than_the_days(out, tmp_path):
    path = tmp_path / "range.h5"
    wide = ("2024-04-09", *ALL, "2024-04-14")
    run("link-range", out, "--out", path, "--first", wide[0], "--last", wide[-1])
    equal(path, out, days=wide)
    # The names that the options had before.
    run("link-range", out, "--out", path, "--start", ALL[1], "--end", ALL[2])
    equal(path, out, days=ALL[1:3], names=("V1:FAST", "V1:LATER"))
    run("link-range", out, "--out", path, "--last", "2024-04-11")
    equal(path, out, days=ALL[:2])


def test_it_says_what_it_links(out, tmp_path):
    path = tmp_path / "range.h5"
    run("link-range", out, "--out", path)
    told = links(path)
    assert told["not_linked"] == {"2024-04-12": "missing"} and told["ffl_spec"] == "V1trend"
    assert [day["day"] for day in told["days"]] == list(DAYS)
    for day in told["days"]:
        seen = os.stat(tmp_path / day["path"])
        assert (day["size_bytes"], day["mtime_ns"]) == (seen.st_size, seen.st_mtime_ns)
        assert day["window"] == list(gps.day_window(day["day"]))


def test_the_same_command_twice_gives_the_same_but_for_the_time(out, tmp_path):
    raw = []
    for _ in range(2):
        run("link-range", out, "--out", tmp_path / "range.h5")
        with h5py.File(tmp_path / "range.h5") as file:
            stamp = file.attrs["created_utc"].encode()
        raw.append((tmp_path / "range.h5").read_bytes().replace(stamp, b"-"))
    assert raw[0] == raw[1]


def rebuilt(out, folder, day, **changes):
    """Build a day of `out` again, with signals that differ from the others'."""
    site = Site(folder)
    site.out = out
    site.want(*RATES)
    shutil.rmtree(out / f"V1trend-{day}", ignore_errors=True)
    build(site, day, *standard(5, **changes))


def test_a_channel_that_changes_is_told_and_left_out_or_split(out, tmp_path):
    changes = {"V1:A%b": {"dtype": "f8"}, "V1:SLOW": {"rate": 0.2}}
    rebuilt(out, tmp_path / "again", "2024-04-13", **changes)
    path = tmp_path / "range.h5"
    status, _, told = run("link-range", out, "--out", path)
    assert status == 0
    assert "changes, left out: 'V1:A%b': float32 at 1 Hz (2 days), float64 at 1 Hz (1 day)\n" in told
    assert "changes, left out: 'V1:SLOW': float32 at 0.1 Hz shifted by 0.2 samples (2 days), float32 at 0.2 Hz" in told
    equal(path, out, names=("V1:FAST", "V1:MIN"))
    with h5py.File(path) as file:
        assert set(file["channels"]) == {"V1:FAST", "V1:MIN", "V1:LATER"}
    assert set(links(path)["changes"]) == {"V1:A%b", "V1:SLOW"}
    status, _, told = run("link-range", out, "--out", path, "--split")
    assert status == 0 and told.count("changes, split: ") == 2
    with h5py.File(path) as file, h5py.File(file_of(out, "2024-04-13")) as last:
        names = set(file["channels"]) - {"V1:FAST", "V1:MIN", "V1:LATER"}
        assert names == {"V1:A%b@1-float32", "V1:A%b@1-float64", "V1:SLOW@0.1-float32", "V1:SLOW@0.2-float32"}
        values, before = file["channels/V1:A%b@1-float64"], file["channels/V1:A%b@1-float32"]
        assert values.attrs["channel"] == "V1:A%b" and values.dtype == np.float64
        np.testing.assert_array_equal(values[3 * 86400 :], last["channels/V1:A%b"][()])
        assert np.isnan(values[: 3 * 86400]).all() and np.isnan(before[2 * 86400 :]).all()
        np.testing.assert_array_equal(before[: 2 * 86400], joined(out, "V1:A%b")[: 2 * 86400])
        assert file["channels/V1:SLOW@0.2-float32"].shape == (4 * 17280,)
        np.testing.assert_array_equal(file["channels/V1:SLOW@0.2-float32"][3 * 17280 :], last["channels/V1:SLOW"][()])


def test_a_channel_on_another_grid_is_no_part_of_the_series(out, tmp_path):
    rebuilt(out, tmp_path / "again", "2024-04-13", **{"V1:SLOW": {"offset": 5.0}})
    path = tmp_path / "range.h5"
    told = run("link-range", out, "--out", path)[2]
    assert "'V1:SLOW': float32 at 0.1 Hz shifted by 0.2 samples (2 days), float32 at 0.1 Hz shifted by 0.7" in told
    run("link-range", out, "--out", path, "--split")
    with h5py.File(path) as file:
        slow = {name: file["channels"][name] for name in file["channels"] if "SLOW" in name}
        assert set(slow) == {"V1:SLOW@0.1-float32+0.2", "V1:SLOW@0.1-float32+0.7"}
        with h5py.File(file_of(out, "2024-04-13")) as last:
            values, theirs = slow["V1:SLOW@0.1-float32+0.7"], last["channels/V1:SLOW"]
            np.testing.assert_array_equal(values[-8640:], theirs[()])
            assert values.attrs["t0"] == theirs.attrs["t0"] - 3 * 86400


def test_a_unit_that_changes_is_told_and_the_most_frequent_kept(out, tmp_path):
    rebuilt(out, tmp_path / "again", "2024-04-10", **{"V1:A%b": {"unit": "V"}})
    path = tmp_path / "range.h5"
    told = run("link-range", out, "--out", path)[2]
    assert "link-range: unit changes, kept 'm' of 'm', 'V': 'V1:A%b'\n" in told
    with h5py.File(path) as file:
        assert file["channels/V1:A%b"].attrs["unit"] == "m"
        np.testing.assert_array_equal(file["channels/V1:A%b"][()], joined(out, "V1:A%b"))


@pytest.mark.long
def test_a_leap_second_makes_its_day_longer(tmp_path):
    needs("make", "parallel", "jq")
    site = Site(tmp_path)
    site.want(*RATES)
    days = ("2016-12-31", "2017-01-01")
    for number, day in enumerate(days):
        build(site, day, *standard(number))
    well("link-range", site.out, "--out", tmp_path / "range.h5")
    with h5py.File(tmp_path / "range.h5") as file:
        assert file["channels/V1:A%b"].shape == (86400 * 2 + 1,)
        for name, (rate, _) in RATES.items():
            dataset = file["channels"][name]
            values, t0 = dataset[()], dataset.attrs["t0"]
            found = np.flatnonzero(~np.isnan(values))
            times = {round(t0 + k / rate, 3): values[k] for k in found}
            expected = {}
            for day in days:
                with h5py.File(file_of(site.out, day)) as one:
                    theirs = one["channels"][name]
                    samples, begin = theirs[()], theirs.attrs["t0"]
                for k in np.flatnonzero(~np.isnan(samples)):
                    expected[round(begin + k / rate, 3)] = samples[k]
            assert times == expected and len(times) == 2 * round(600 * rate)


def test_a_day_that_is_not_completed_is_left_out_and_told(out, tmp_path):
    state = out / "V1trend-2024-04-11" / "state_day.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "status": "failed", "error": "no frame"}))
    path = tmp_path / "range.h5"
    told = run("link-range", out, "--out", path)[2]
    assert "left out as failed, NaN: 2024-04-11\n" in told
    with h5py.File(path) as file:
        assert np.isnan(file["channels/V1:A%b"][86400:172800]).all()
        assert "V1:LATER" not in file["channels"]


def test_a_damaged_day_is_an_error_and_the_old_file_stays(out, tmp_path):
    path = tmp_path / "range.h5"
    run("link-range", out, "--out", path)
    before = path.read_bytes()
    day = file_of(out, "2024-04-11")
    whole = day.read_bytes()
    for raw in (whole[:-100], b"", b"no HDF5 at all"):
        day.write_bytes(raw)
        assert f"day file cannot be read as HDF5: {str(day)!r}" in refused("link-range", out, "--out", path)
    day.unlink()
    with h5py.File(day, "w") as file:
        file["channels/V1:A%b"] = np.zeros(86400)
    assert f"not a day file of this project: {str(day)!r}" in refused("link-range", out, "--out", path)
    day.write_bytes(whole)
    with h5py.File(day, "a") as file:
        del file["channels/V1:FAST"]
        file["channels/V1:FAST"] = np.zeros(5)
    assert "other channels or samples than it says" in refused("link-range", out, "--out", path)
    shutil.copy(file_of(out, "2024-04-10"), day)
    assert "holds GPS 1396742418 to 1396828818, not of 2024-04-11" in refused("link-range", out, "--out", path)
    assert path.read_bytes() == before and not list(tmp_path.glob(".*.tmp"))


def test_a_day_file_that_is_gone_is_told(out, tmp_path):
    file_of(out, "2024-04-11").unlink()
    assert "left out as failed, NaN: 2024-04-11\n" in run("link-range", out, "--out", tmp_path / "range.h5")[2]


def test_what_cannot_be_linked_is_refused(out, tmp_path):
    path = tmp_path / "range.h5"
    refuse = lambda *args: refused("link-range", *args, "--out", path)  # noqa: E731
    assert "no such file or directory" in refuse(tmp_path / "none")
    assert "no day of V1raw in folder" in refuse(out, "--spec", "V1raw")
    assert "no completed day" in refuse(out, "--first", "2025-01-01", "--last", "2025-01-02")
    assert "no such day" in refuse(out, "--first", "2025-13-01")
    assert "the range is empty" in refuse(out, "--first", "2024-04-11", "--last", "2024-04-10")
    assert "one day needs no link" in refuse(out, "--first", "2024-04-11", "--last", "2024-04-11")
    shutil.copytree(out / "V1trend-2024-04-10", out / "V1raw-2024-04-10")
    assert "several SPECs, --spec says which (V1raw, V1trend)" in refuse(out)
    assert not path.exists()
    run("link-range", out, "--out", path, "--spec", "V1trend")
    equal(path, out)


def test_it_never_writes_over_a_day_file_or_a_folder(out):
    day = file_of(out, "2024-04-10")
    before = day.read_bytes()
    assert "is a day file, and would be lost" in refused("link-range", out, "--out", day)
    assert "is a folder" in refused("link-range", out, "--out", out)
    assert day.read_bytes() == before


def test_a_day_built_again_is_seen_as_it_is(out, tmp_path):
    path = tmp_path / "range.h5"
    run("link-range", out, "--out", path)
    rebuilt(out, tmp_path / "again", "2024-04-11", **{"V1:A%b": {"dtype": "f8", "first": 0.1}})
    # The dtype that stands in the range file is kept: HDF5 rounds.
    with h5py.File(path) as file, h5py.File(file_of(out, "2024-04-11")) as day:
        found, theirs = file["channels/V1:A%b"][86400:172800], day["channels/V1:A%b"]
        assert found.dtype == np.float32 and theirs.dtype == np.float64
        np.testing.assert_array_equal(found, theirs[()].astype("f4"))
        np.testing.assert_array_equal(file["channels/V1:FAST"][()], joined(out, "V1:FAST"))
    seen = {day["day"]: day["mtime_ns"] for day in links(path)["days"]}
    assert [day for day in DAYS if file_of(out, day).stat().st_mtime_ns != seen[day]] == ["2024-04-11"]


def test_a_day_of_which_only_the_first_minutes_were_built(out, tmp_path):
    """A window that is shorter leaves NaN after it."""
    day = file_of(out, "2024-04-11")
    site = Site(tmp_path / "short")
    site.want("V1:A%b")
    site.frame(86400, 600, [signal("V1:A%b", 600, 42, unit="m")])
    start = start_of("2024-04-11")
    from support.sites import command

    parts = tmp_path / "parts"
    command("extract-increment", site.ffl, site.channels, "--start", start, "--end", start + 3600, "--parts", parts)
    command("pad-merge", parts, "--out", day, "--shrink")
    run("link-range", out, "--out", tmp_path / "range.h5")
    with h5py.File(tmp_path / "range.h5") as file:
        values = file["channels/V1:A%b"][86400:172800]
        np.testing.assert_array_equal(values[:600], np.arange(600) + 42)
        assert np.isnan(values[600:]).all()


def test_many_channels_that_change_are_told_in_few_lines(out, tmp_path):
    names = [f"V1:N{number}" for number in range(15)]
    for day, dtype in (("2024-04-12", "f4"), ("2024-04-13", "f8")):
        site = Site(tmp_path / day)
        site.out = out
        site.want(*names)
        shutil.rmtree(out / f"V1trend-{day}", ignore_errors=True)
        build(site, day, *(signal(name, 600, 1, dtype=dtype) for name in names))
    told = run("link-range", out, "--out", tmp_path / "range.h5")[2].splitlines()
    assert len(told) == 11 and told[-1] == "link-range: and 5 more such lines"
    assert len(links(tmp_path / "range.h5")["changes"]) == 15


@pytest.mark.long
def test_a_rate_that_cuts_no_day_into_whole_samples(tmp_path):
    """A sample every 7 s: each is there once, at its time, over two midnights."""
    needs("make", "parallel", "jq")
    site = Site(tmp_path)
    site.want("V1:SEVEN")
    days, count = ("2024-04-10", "2024-04-11", "2024-04-12"), 100
    begins = [(start_of(day) // 7 - 50) * 7 for day in days[1:]]
    for number, begin in enumerate(begins):
        values = signal("V1:SEVEN", count, 1000 * (number + 1), 1 / 7)
        site.frame(begin - start_of(days[0]), 7 * count, [values])
    for day in days:
        assert site.make(f"DAY={day}").returncode == 0
    well("link-range", site.out, "--out", tmp_path / "range.h5")
    with h5py.File(tmp_path / "range.h5") as file:
        dataset = file["channels/V1:SEVEN"]
        values, t0 = dataset[()], dataset.attrs["t0"]
    there = np.flatnonzero(~np.isnan(values))
    found = {round(t0 + 7 * k): values[k] for k in there}
    assert found == {begins[n] + 7 * k: 1000 * (n + 1) + k for n in range(2) for k in range(count)}
    assert abs(len(values) + (t0 - start_of("2024-04-13")) // 7) <= 1
    assert given_the_path(tmp_path / "range.h5", "V1:SEVEN")[0] in (0, 1)


def test_more_days_than_a_process_may_open_are_told(out, tmp_path, monkeypatch):
    """Beyond the limit HDF5 gives NaN without a word."""
    from framemake.days import link

    assert not any("opens" in line for line in link.link(str(out), str(tmp_path / "range.h5")))
    monkeypatch.setattr(link, "MOST_OPEN", 2)
    assert "opens 3 files at once" in link.link(str(out), str(tmp_path / "range.h5"))[-1]
