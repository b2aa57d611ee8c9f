"""Days that the converter before this project finished: shown, read, and never written unasked."""

import json

import h5py
import numpy as np
import pytest
from framemake import gps
from framemake.day import dayfile
from support.commands import call, command, run
from support.sites import DAY, START, Site, signal

BEGIN = START
DAYS = (DAY, "2024-04-11")


def converter_day(out, day):
    """A day folder as the reference of the field's converter describes it; its t0 is off by ten years."""
    window = gps.day_window(day)
    name = f"V1trend_{day.replace('-', '')}"
    folder = out / f"V1trend-{day}"
    (folder / "channels_info").mkdir(parents=True)
    samples = np.arange(86400, dtype="f4")
    samples[3600:7200] = np.nan
    start, end = (f"{gps.utc(time)}+00:00" for time in window)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file.attrs.update(
            start_dt=start, end_dt=end, created_utc=end, increment_size=600, dama_name=name, time_stamp=end
        )
        for channel in ("V1:A", "V1:B"):
            dataset = file.create_dataset(f"channels/{channel}", data=samples, chunks=(600,), compression="lzf")
            dataset.attrs.update(channel=channel, sample_rate=1.0, unit="V", t0=window.start - 315964800.0)
    entry = {
        "sample_rate": 1.0, "dtype": "float32", "total_samples": 86400, "nan_samples": 3600, "non_nan_samples": 82800,
        "nan_fraction": 1 / 24, "gwf_gaps": 36, "gwf_mask": "1" * 36 + "0" * 36 + "1" * 792, "missing_fraction": 1 / 24,
    }  # fmt: skip
    covered = {channel: {"channel_name": channel, **entry} for channel in ("V1:A", "V1:B")}
    (folder / "channels_info" / "channels_coverage.json").write_text(json.dumps(covered))
    summary = {
        "date": day, "start_dt_utc": start, "end_dt_utc": end, "start_gps": window.start, "end_gps": window.end,
        "total_seconds": 86400, "ffl_spec": "V1trend", "ffl_path": "/virgoData/ffl/trend.ffl", "increment_size": 600,
        "total_chunks": 144, "started_at_utc": start, "completed_at_utc": end, "elapsed_time_seconds": 7200,
        "dataset_size_bytes": 1, "requested_channels": 3, "valid_channels": 2, "invalid_channels": 1,
        "pruned_channels": 0,
    }  # fmt: skip
    (folder / f"{name}.summary.json").write_text(json.dumps(summary))
    state = {"date": day, "h5_path": str(folder / f"{name}.h5"), "increment_size": 600, "last_completed_chunk": 143}
    (folder / "state_day.json").write_text(json.dumps({**state, "status": "completed", "error": None}))
    return folder


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.frame(0, 60, [signal("V1:A")])
    site.want("V1:A")
    for day in DAYS:
        converter_day(site.out, day)
    return site


def content(site):
    return {
        path: path.read_bytes() for path in sorted(site.out.rglob("*")) if path.is_file() and path.parent != site.out
    }


def test_it_is_shown_with_its_coverage(site):
    done = command("day-status", site.out, "--json")
    days = json.loads(done.stdout)["days"]
    assert [(day["date"], day["status"]) for day in days] == [(day, "completed") for day in DAYS]
    assert [day["coverage"] for day in days] == [pytest.approx(23 / 24)] * 2
    picture = site.folder / "days.png"
    assert run("plot-coverage", site.out, "--out", picture) == (0, f"{picture}\n", "")


def test_it_is_read_at_its_true_times(site):
    with dayfile.open_day(str(site.h5)) as day:
        assert day.window == gps.day_window(DAY)
        assert day.datasets["V1:A"] == (1.0, "float32", 86400, float(BEGIN), "V")
        assert np.isnan(day.samples("V1:A", 3599, 3602)).tolist() == [False, True, True]
        assert day.totals()["V1:A"][0] == 82800


def test_it_is_linked_with_others(site):
    path = site.folder / "range.h5"
    command("link-range", site.out, "--out", path)
    with h5py.File(path) as file:
        series = file["channels/V1:A"]
        assert series.shape == (2 * 86400,) and series.attrs["t0"] == BEGIN
        assert series[86400 + 5] == 5 and np.isnan(series[3600])


def test_make_and_range_leave_it_as_it_is(site):
    before = content(site)
    done = site.make()
    assert done.returncode == 2 and "was finished by another program and stays as it is" in done.stderr
    given = (f"FFL={site.ffl}", f"CHANNELS={site.channels}", f"OUT={site.out}")
    done = call("make", "-f", "Makefile", "range", f"FIRST={DAY}", f"LAST={DAYS[1]}", *given)
    assert done.returncode == 0, done.stderr
    assert "0 built, 2 had nothing new" in done.stderr
    left = {
        path: raw for path, raw in content(site).items() if ".work" not in path.parts and path.name != ".state.lock"
    }
    assert left == before


def test_with_shrink_it_is_made_anew(site):
    done = site.make("SHRINK=yes")
    assert done.returncode == 0, done.stderr
    got, _ = site.read("V1:A")
    assert got[:60].tolist() == list(range(60)) and np.isnan(got[60:]).all()


def test_it_is_served(site):
    from framemake.serve import days

    known = days.ServedDays(str(site.out))
    (curve,) = known.curves(["V1:A"], "", BEGIN, BEGIN + 7200, 2)
    assert (curve.min[0], curve.max[0]) == (0, 3599) and np.isnan(curve.mean[1])


def test_the_commands_by_hand_do_not_write_over_it_either(site):
    before = content(site)
    span = ("--day", DAY, "--parts", site.folder / "parts")
    command("extract-increment", site.ffl, site.channels, *span)
    status, out, told = run("pad-merge", site.folder / "parts", "--out", site.h5)
    assert (status, out) == (3, "") and "would lose" in told and "--shrink" in told
    assert content(site) == before
