"""days.estimate: what days would take, from what finished days of the folder took; what is not known is said."""

import json

import numpy as np
import pytest
from framemake.day import dayfile
from framemake.days import estimate, plan
from framemake.frames.channels import Channel
from support.commands import frame_file, well
from support.day_files import day_folder
from support.sites import signal

FIRST, NEXT = "2024-04-10", "2024-04-11"
A, B = Channel("V1:A"), Channel("V1:B")


def samples(count=600):
    return np.random.default_rng(1).standard_normal(count).astype("f4")


def foreseen(out, due, wanted, look=lambda new: [], at_once=1):
    inputs = plan.RangeInputs(str(out), "V1trend", b"", "")
    return estimate.estimate([plan.PlannedDay(*day) for day in due], inputs, wanted, look, at_once)


def stored(folder, name="V1:A"):
    with dayfile.open_day(folder.h5) as day:
        return day.dataset(name).id.get_storage_size()


@pytest.fixture
def done(tmp_path):
    """A finished day of ten minutes of one channel, that took 20 s with 1 MB, two days at once."""
    told = {"seconds": 20, "bytes": 1_000_000, "at_once": 2}
    return day_folder(tmp_path, FIRST, {"V1:A": (1.0, 0.0, samples())}, one_go=told)


def test_bytes_are_what_a_second_of_a_channel_takes(done, tmp_path):
    made = foreseen(tmp_path, [(NEXT, "new", 86400.0), ("2024-04-12", "new", 43200.0)], [A])
    assert made.days == 2 and not made.at_most
    assert made.bytes == pytest.approx(stored(done) / 600 * 129600, abs=2)
    assert made.by_bytes == "1 channels as in 1 finished day(s)"


def test_gaps_of_the_finished_day_are_not_counted(tmp_path):
    half = samples()
    half[300:] = np.nan
    folder = day_folder(tmp_path, FIRST, {"V1:A": (1.0, 0.0, half)})
    assert foreseen(tmp_path, [(NEXT, "new", 600.0)], [A]).bytes == pytest.approx(2 * stored(folder), abs=2)


@pytest.mark.parametrize(
    ("at_once", "seconds", "words"),
    [
        # Two days of 20 s at the same time, or three in two rounds; one after another as fast as two at once.
        (2, 2, "as 1 finished day(s) took, 2 at once"),
        (1, 1.5, "as 1 finished day(s) took, 2 at once, not 1"),
    ],
)
def test_time_is_that_of_days_made_in_one_go_by_their_bytes(done, tmp_path, at_once, seconds, words):
    days = [(f"2024-05-0{day}", "new", 600.0) for day in range(1, 4)]
    made = foreseen(tmp_path, days, [A], at_once=at_once)
    assert made.seconds == pytest.approx(seconds * stored(done) * 20 / 1_000_000)
    assert made.by_seconds == words


def test_a_day_that_does_not_say_so_tells_by_its_summary(done, tmp_path):
    done.note(one_go=None)
    with open(done.summary) as text:
        told = json.load(text)
    with open(done.summary, "w") as out:
        json.dump({**told, "elapsed_time_seconds": 30, "dataset_size_bytes": stored(done)}, out)
    made = foreseen(tmp_path, [(NEXT, "new", 600.0)], [A])
    assert made.seconds == pytest.approx(30) and made.by_seconds.endswith("; some may have been made in parts")


def test_without_a_finished_day_the_time_is_not_known(tmp_path):
    for out in (tmp_path, tmp_path / "none"):
        made = foreseen(out, [(NEXT, "new", 100.0)], [A, B], lambda new: [Channel("V1:A", 2.0, dtype="float64")])
        assert (made.bytes, made.seconds, made.at_most) == (1600, None, True)
        assert made.sentence() == (
            "1 day(s) to build: at most about 1.6 kB (1 channels by their rate, uncompressed, 1 channels not met and "
            "left out); time not known (no finished day tells how long it took)"
        )


def test_a_new_channel_is_taken_to_be_compressed_as_the_others(done, tmp_path):
    asked = []

    def look(new):
        asked.extend(new)
        return [Channel("V1:B", 10.0, dtype="float32")]

    made = foreseen(tmp_path, [(NEXT, "channel list changed", 600.0)], [A, B], look)
    assert asked == [B] and not made.at_most
    assert made.bytes == pytest.approx(stored(done) * 11, abs=2)


def test_a_day_that_is_there_needs_no_more_than_what_it_grows_by(done, tmp_path):
    made = foreseen(tmp_path, [(FIRST, "frames changed", 600.0)], [A])
    assert (made.bytes, made.at_most) == (0, True)
    assert made.sentence().startswith("1 day(s) to build: at most about 0 B")


def test_plan_range_prints_it_and_writes_nothing(tmp_path):
    path = frame_file(tmp_path, 1396742418, 60, signal("V1:A"))
    (tmp_path / "channels.txt").write_text("V1:A\nV1:NONE\n")
    line = ("plan-range", path, tmp_path / "channels.txt", tmp_path / "out", "--first", FIRST, "--last", FIRST)
    made = json.loads(well(*line, "--estimate"))
    assert (made["days"], made["bytes"], made["seconds"], made["at_most"]) == (1, 240, None, True)
    assert not (tmp_path / "out").exists()
