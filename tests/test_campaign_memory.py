"""What runs for years on one machine: memory does not grow with days or channels, and nothing is left behind.

Each test prints what it measured.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from framemake import gps
from framemake.day import dayfile, folder, manifest, summary
from support import processes
from support import streams as elab
from support.commands import BIN, ROOT, command, needs
from support.daemons import wait_until
from support.serving import served
from support.stream_files import DOUBLE, Written

DAY = "2024-04-10"


# --- nothing is left ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A folder with frames, a list of them, channels, a tree of trend frames and an e-Lab's streams."""
    needs("make", "parallel", "jq", "flock", "timeout", "rsync")
    folder, start = tmp_path_factory.mktemp("host"), gps.day_window(DAY).start
    span = ("--start", start, "--end", start + 1200, "--duration", 600, "--channels", 3)
    made = command("make-frames", folder / "source/trend", *span, "--list", folder / "channels.txt")
    (folder / "t.ffl").write_text(made.stdout)
    for hour in range(2):
        elab.frame(folder / "source", elab.NIGHT + hour * elab.HOUR, {"H0:PEM-EX_SEISX": "f4"})
    (folder / "nightly.conf").write_text(
        f"SOURCES='{folder}/source/trend\n{folder}/source/minute-trend'\n"
        f"FRAMES={folder}/frames FFL={folder}/frames/trend\n"
        f"CHANNELS={folder}/channels.txt STREAMS={folder}/streams OUT={folder}/out LOGS={folder}/logs\n"
        f"DAYS=1 FIRST_DAY={DAY} RANGE_OPTIONS=(MINUTES=20 INCREMENT=300)\n"
    )
    return folder


@pytest.mark.long
def test_no_process_and_no_temporary_file_is_left_of_any_command(host, tmp_path):
    """A night runs most of them; then those that it does not run, and the same where something fails."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    out, streams = host / "out", host / "streams"
    h5 = out / f"V1trend-{DAY}" / "V1trend_20240410.h5"
    night = [ROOT / "cron" / "nightly", "--until", DAY, host / "nightly.conf"]
    lines = [
        (0, *night),
        (0, BIN / "check-day", "--all", h5),
        (1, BIN / "link-range", out, "--out", tmp_path / "range.h5"),  # of one day there is nothing to link
        (0, BIN / "check-streams", "--frames", host / "frames", streams),
        (0, BIN / "export-streams", streams, "--day", gps.day_of(elab.NIGHT), "--out", tmp_path / "elab"),
        (0, BIN / "check-nightly", "--nightly", host / "logs/nightly.json"),
        (2, BIN / "extract-increment", host / "t.ffl", host / "channels.txt", "--day"),
        (1, BIN / "extract-increment", host / "t.ffl", tmp_path / "none", "--day", DAY, "--parts", tmp_path / "parts"),
        (1, BIN / "check-day", host / "t.ffl"),
        (2, "make", "-f", ROOT / "Makefile", f"DAY={DAY}", "FFL=none", "CHANNELS=none", f"OUT={tmp_path}/none"),
    ]
    for status, *line in lines:
        processes.leaving_nothing(temporary, *line, status=status, cwd=tmp_path)


@pytest.mark.long
def test_a_reader_that_crashes_leaves_no_copy_of_the_frame(shared, tmp_path):
    path, temporary = tmp_path / "F-600000000-6-10.gwf", tmp_path / "tmp"
    temporary.mkdir()
    shutil.copy(shared / "frames/v6/F-TEST-600000000-60.gwf", path)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from framemake.day import second\n"
    code += "assert second.read(sys.argv[2], ['H1:LSC-AS_Q'], 600000000, 60); print(second._PROCESS.starts)"
    said = processes.leaving_nothing(temporary, "python3", "-c", code, ROOT / "lib", path)
    assert said == "2\n", "it did not crash"


@pytest.mark.long
def test_a_server_that_is_asked_1000_times_has_what_it_had_open(tmp_path):
    start, name = gps.day_window("2016-05-22").start // 60 * 60 + 60, "H0:PEM-EX_SEISX"
    for each in (name, "H0:PEM-EX_SEISY"):
        Written(DOUBLE, 256).file(start, 60, [1.0 + k for k in range(1000)]).write(tmp_path / "streams", each)
    command("export-streams", tmp_path / "streams", "--day", "2016-05-22", "--out", tmp_path / "out")
    with served(tmp_path / "streams", "--processes", "1") as server:
        (child,) = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()

        def ask(count):
            for number in range(count):
                span = {"start": start, "end": start + 60 * (1 + number % 900), "points": 10}
                assert server.get("/api/values", name, **span).status == 200
                assert server.get("/api/values", "H0:NONE", **span).status == 404

        ask(50)
        before, memory = processes.handles(child), resident(child)
        ask(500)
        # The last connection may be there for a moment.
        wait_until(lambda: len(processes.handles(child)) <= len(before), f"no more handles than {before}", 5)
        after = processes.handles(child)
        print(f"server: {len(before)} handles, {memory} MB; after 1,000 requests {len(after)}, {resident(child)} MB")
        assert resident(child) < memory + 10


def resident(pid):
    """MB of memory that a process has."""
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) // 1024


# --- memory ------------------------------------------------------------------------------


def build(folder, channels, days=1, duration=60):
    """(MB of the largest process of a make range, its OUT) over so many days of one minute each."""
    first = gps.day_window(DAY).start
    lines = []
    for day in range(days):
        start = first + day * 86400
        span = ("--start", start, "--end", start + duration, "--duration", duration, "--channels", channels)
        lines.append(command("make-frames", folder / "frames", *span, "--list", folder / "channels.txt").stdout)
    (folder / "t.ffl").write_text("".join(lines))
    last = gps.day_of(first + (days - 1) * 86400)
    given = {"FFL": folder / "t.ffl", "CHANNELS": folder / "channels.txt", "OUT": folder / "out", "MINUTES": 1}
    words = ["range", "-j2", f"FIRST={DAY}", f"LAST={last}", *(f"{name}={value}" for name, value in given.items())]
    most, _ = processes.peak("make", "-f", ROOT / "Makefile", *words, cwd=folder)
    told = json.loads((folder / "out/index.json").read_text())["stats"]
    assert told["completed"] == days, told
    return most, folder / "out"


def flat(what, measured, grows):
    """MB by size: the largest is at most `grows` times the smallest."""
    print(f"{what}: " + ", ".join(f"{size:,}: {most} MB" for size, most in measured.items()))
    smallest, largest = measured[min(measured)], measured[max(measured)]
    assert largest <= grows * smallest, measured


@pytest.mark.long
def test_memory_by_channels(tmp_path):
    measured = {}
    for channels in (100, 1000, 20_000):
        place = tmp_path / str(channels)
        place.mkdir()
        measured[channels], _ = build(place, channels)
    flat("make range, by channels", measured, 4)
    assert measured[1000] <= 1.5 * measured[100] and measured[20_000] < 500


@pytest.mark.long
def test_memory_of_a_range_by_days(tmp_path):
    measured = {}
    for days in (1, 10):
        place = tmp_path / f"range{days}"
        place.mkdir()
        measured[days], _ = build(place, 100, days)
    flat("make range, by days", measured, 1.2)


@pytest.mark.long
def test_memory_of_what_looks_at_all_days(tmp_path):
    """Up to 100 days of two streams: their export, and the commands that read many day files or folders."""
    by_days, streams = {}, tmp_path / "streams"
    start = gps.day_window("2016-01-01").start // 60 * 60 + 60
    for name in ("H0:PEM-EX_SEISX", "H0:PEM-EX_SEISY"):
        written = Written(DOUBLE, 256)
        for day in range(100):
            written.file(start + day * 86400, 60, [1.0 + k for k in range(60)])
        written.write(streams, name)
    for days in (2, 10, 100):
        out, last = tmp_path / f"days{days}", gps.day_of(start + (days - 1) * 86400)
        span = ("--first", "2016-01-01", "--last", last, "--out", out)
        by_days.setdefault("export-streams", {})[days], made = processes.peak(BIN / "export-streams", streams, *span)
        for path in made.split():
            with dayfile.open_day(path) as day:
                held = summary.write_lists(day)
            folder.Folder.holding(path).note_completed(held)
            summary.write(held, path, manifest.sha256(path))
        for name, *line in (
            ("summarize", "--index", out),
            ("day-status", out),
            ("link-range", out, "--out", out / "range.h5"),
            ("plot-coverage", out, "--out", out / "days.png"),
            ("list-faults", out),
        ):
            by_days.setdefault(name, {})[days], _ = processes.peak(BIN / name, *line)
    for name, measured in by_days.items():
        # A picture has a row for each day, and all of it is in memory.
        flat(f"{name}, by days", measured, 2.5 if name == "plot-coverage" else 1.2)
