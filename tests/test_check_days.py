"""bin/check-days and the manifest of a day: it is true of each day that is done, and tells what is not as it was."""

import json
import os
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from framemake import gps
from framemake.day import manifest, resample, summary
from framemake.day.folder import Folder
from framemake.days import intact
from framemake.errors import BadInput
from support.commands import call, needs, run, well
from support.day_files import day_file, day_folder
from support.sites import Site, signal

FIRST, NEXT = "2024-04-10", "2024-04-11"
CHANNELS = {"V1:A": (1.0, 0.0, np.arange(600, dtype="f4"))}


@pytest.fixture
def days(tmp_path):
    """Two finished days: their Folders."""
    return [day_folder(tmp_path / "out", day, CHANNELS) for day in (FIRST, NEXT)]


def found(folder):
    """[(date, faults, why)] of what the check of the folder's days has to tell."""
    return [(day.date, faults, why) for day, faults, why in intact.check(os.path.dirname(folder.path), jobs=2)]


def test_sha256sum_takes_it_and_it_has_all_that_is_told_of_a_day(days):
    needs("sha256sum")
    done = call("sha256sum", "-c", "--strict", days[0].manifest, cwd=days[0].path)
    assert done.returncode == 0, done.stderr
    told = {line.removesuffix(": OK") for line in done.stdout.splitlines()}
    there = {
        os.path.relpath(os.path.join(at, name), days[0].path)
        for at, _, names in os.walk(days[0].path)
        for name in names
        if not name.startswith(".") and "/." not in at
    }
    assert there - told == {"state_day.json", os.path.basename(days[0].manifest)}
    assert told <= there
    assert found(days[0]) == []


@pytest.mark.parametrize("name", ["h5", "summary", "coverage", "rejected"])
def test_a_file_that_changes_or_goes_is_told(days, name):
    path = getattr(days[1], name)
    inside = os.path.relpath(path, days[1].path)
    with open(path, "r+b") as file:
        first = file.read(1) or b"\0"
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    assert found(days[1]) == [(NEXT, [(inside, "is not what it was: its SHA-256 differs")], "")]
    os.unlink(path)
    assert found(days[1]) == [(NEXT, [(inside, "is gone")], "")]


def test_what_is_not_known_is_said(days):
    os.unlink(days[0].manifest)
    days[1].note(status="failed", error="for a test")
    (one, two) = found(days[0])
    assert one[:2] == (FIRST, []) and one[2].startswith("no manifest, summarize writes one")
    assert two == (NEXT, [], "failed, for a test")
    with open(days[0].manifest, "w") as out:
        out.write("garbage\n")
    assert "not a manifest" in found(days[0])[0][2]
    summary.tell(days[0].h5)
    assert [day for day, *_ in found(days[0])] == [NEXT]


def test_a_day_that_is_being_made_is_not_looked_at(days):
    os.makedirs(days[0].work)
    with open(days[0].h5, "ab") as file:
        file.write(b"x")
    with days[0].hold(1):
        assert found(days[0]) == []
    assert len(found(days[0])) == 1


def test_a_day_file_that_is_replaced_takes_its_manifest_with_it(days):
    day_file(days[0].h5, CHANNELS, gps.Window(1396742418, 1396743018))
    with pytest.raises(BadInput, match="no manifest"):
        manifest.faults(days[0])


def test_a_digest_that_the_run_noted_is_taken_for_the_same_file_alone(days):
    folder = days[0]
    os.makedirs(folder.parts, exist_ok=True)
    with manifest.noting(folder.h5) as whole:
        whole(folder.h5)
    text = Path(folder.hashed).read_text()
    assert text.split()[0] == manifest.sha256(folder.h5)
    # What is noted is taken as it is, so that the file is read once ...
    Path(folder.hashed).write_text("0" * 64 + text[64:])
    with manifest.hashing(folder.h5) as digest:
        assert digest.result() == "0" * 64
    # ... but not of another file of that name.
    os.utime(folder.h5, (5, 5))
    with manifest.hashing(folder.h5) as digest:
        assert digest.result() == text[:64]


def test_what_cannot_be_hashed_meanwhile_is_hashed_later(days, monkeypatch):
    folder = days[0]
    os.makedirs(folder.parts, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "sha256", lambda path: os.stat("/no such file"))
        with manifest.noting(folder.h5) as whole:
            whole(folder.h5)
    assert not os.path.exists(folder.hashed)
    with manifest.hashing(folder.h5) as digest:
        assert digest.result() == manifest.sha256(folder.h5)


def test_a_kill_before_the_summary_leaves_a_manifest_that_says_so(days, monkeypatch):
    """The manifest is written before the summary, which tells make that all is there."""
    os.utime(days[0].h5)
    before = open(days[0].manifest).read()  # noqa: SIM115
    write = manifest.files.write

    def killed(path, *more, **options):
        if path == days[0].summary:
            raise KeyboardInterrupt
        write(path, *more, **options)

    monkeypatch.setattr(manifest.files, "write", killed)
    folder = days[0]
    folder.note(started_at_utc="2024-04-11T00:00:00Z")  # the summary will be another
    with pytest.raises(KeyboardInterrupt):
        summary.tell(folder.h5)
    monkeypatch.undo()
    assert open(folder.manifest).read() != before  # noqa: SIM115
    assert [name for name, _ in manifest.faults(folder)] == [os.path.basename(folder.summary)]
    summary.tell(folder.h5)
    assert manifest.faults(folder) == []


def test_other_files_of_the_folder_are_left_alone(tmp_path):
    """A day file may be written anywhere, by hand."""
    (tmp_path / "SHA256SUMS").write_text("somebody's\n")
    source = day_file(tmp_path / "source.h5", CHANNELS, gps.Window(1396742418, 1396743018))
    (tmp_path / "source.sha256").write_text("of the other\n")
    resample.write(source, str(tmp_path / "lower.h5"), resample.Lower("0.1"))
    assert (tmp_path / "SHA256SUMS").read_text() == "somebody's\n" and (tmp_path / "source.sha256").exists()


def test_the_commands(days):
    out = os.path.dirname(days[0].path)
    assert well("check-days", out) == "" and well("check-day", "--fast", days[0].h5) == ""
    with h5py.File(days[0].h5, "r+") as file:
        file["channels/V1:A"][5] = 7
    name = os.path.basename(days[0].h5)
    what = "is not what it was: its SHA-256 differs"
    assert run("check-days", out, "-j", "1") == (1, f"{FIRST}\tV1trend\t{name}\t{what}\n", "")
    lost = "its samples are not those that were written: their SHA-256 differs"
    assert run("check-days", out, "--samples")[1].splitlines()[1:] == [f"{FIRST}\tV1trend\tV1:A\t{lost}"]
    assert run("check-day", "--fast", days[0].h5) == (1, f"{name}\t\t\t{what}\n", "")
    os.unlink(days[0].manifest)
    status, printed, told = run("check-days", out)
    assert (status, printed) == (3, "") and re.fullmatch(rf"check-days: {FIRST}: no manifest, .*\n", told)


@pytest.mark.slow
def test_every_rebuild_keeps_it_true(tmp_path):
    """By make: a new day, one with a late frame, one without a summary, and one that has nothing new."""
    site = Site(tmp_path)
    site.want("V1:A")
    folder = Folder.of(str(site.out), "V1trend", FIRST)
    made = []
    for start, words in ((0, ()), (60, ()), (None, ("SUMMARY=no",)), (None, ())):
        if start is not None:
            site.frame(start, 60, [signal("V1:A", first=start)])
        done = site.make("MINUTES=10", *words)
        assert done.returncode == 0, done.stderr
        assert manifest.faults(folder) == []
        made.append(open(folder.manifest).read())  # noqa: SIM115
    # The last one may be the second again, if they were made in the same second.
    assert len(set(made[:3])) == 3
    assert ["summary" in each for each in made] == [True, True, False, True]
    subprocess.run(["sha256sum", "-c", "--quiet", folder.manifest], cwd=folder.path, check=True)
    assert json.loads(well("day-status", site.out, "--json"))["totals"]["completed"] == 1
