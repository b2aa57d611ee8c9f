"""kill -9 of all that a command has started, at random moments: the next run ends as one that nobody disturbed.

So it is after Ctrl-C and SIGTERM, which leave no word that is not ours.  After each kill what can be seen is whole, old
or new; after the run that follows all is as after an undisturbed one, nothing is left beside it, and what had been
finished before was not written again.  A moment is chosen by the clock or, as most of the time nothing is written, by
counting what changes on the disk.  Each trial prints its seed and moment; $FRAMEMAKE_SEED begins others.
"""

import collections
import errno
import json
import os
import random
import shutil
import signal
import time

import pytest
from framemake import files, gps
from framemake.days import index
from framemake.streams.intake import importer
from support import processes, undisturbed
from support import streams as elab
from support.commands import BIN, ROOT, command, needs
from support.stream_files import DOUBLE, Written

FIRST, LAST = "2024-04-10", "2024-04-12"
DAYS = [FIRST, "2024-04-11", LAST]
MINUTES, FILE = 20, 600


class Case:
    """A command that is killed: its place, which each trial finds as `begin` leaves it, and what must come of it."""

    def __init__(self, folder):
        self.folder, self.place = folder, folder / "place"
        self.make()
        self.begin()
        self.before = self.seen()
        begun, changes = time.monotonic(), 0
        process = processes.start(*self.words(), cwd=folder)
        last = self._look()
        while process.poll() is None:
            changes, last = self._count(changes, last)
            time.sleep(0.0005)
        self.usual, self.changes = time.monotonic() - begun, changes
        said = process.communicate()[0].decode()
        assert process.returncode == 0, said
        self.want, self.after = self.result(), self.seen()

    # --- what each has in its own way ------------------------------------------------------

    def make(self):
        """Make the inputs, once."""

    def begin(self):
        """Lay out the place as each trial finds it."""

    def words(self):
        """The command."""

    def result(self):
        """What it leaves."""

    def seen(self):
        """What readers see at this moment, as `check` wants it."""

    def check(self):
        """What readers see at this moment is whole."""

    def untouched(self):
        """What had been finished before, in a way that tells another writing of the same."""
        return None

    def again(self):
        """Run the command again and let it be."""
        self.run(*self.words())

    def run(self, *words):
        """Run a command to its good end."""
        process = processes.start(*words, cwd=self.folder)
        said = process.communicate()[0].decode()
        assert process.returncode == 0, said
        assert "Traceback" not in said

    # --- one trial after the other ---------------------------------------------------------

    def _look(self):
        """{path: (size, time)} of all that lies in the place."""
        found, folders = {}, [self.place]
        for folder in folders:
            try:
                for entry in os.scandir(folder):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        stat = entry.stat(follow_symlinks=False)
                        found[entry.path] = stat.st_size, stat.st_mtime_ns
            except OSError:
                continue  # it went while we looked
        return found

    def _count(self, changes, last):
        now = self._look()
        return changes + len(now.items() ^ last.items()), now

    def _wait(self, process, chance):
        """Wait for a moment of the run; which it was."""
        if chance.random() < 0.4:
            moment = chance.uniform(0, self.usual)
            time.sleep(moment)
            return f"after {moment:.3f} s of {self.usual:.3f}"
        wanted = chance.randrange(1, self.changes + 1)
        changes, last = 0, self._look()
        while changes < wanted and process.poll() is None:
            changes, last = self._count(changes, last)
            time.sleep(0.0005)
        time.sleep(chance.choice((0, 0, 0.001, 0.01)))
        return f"after {wanted} changes of {self.changes}"

    def kill(self, times, seed, number=None):
        """Kill it at so many moments; where the kills fell, by the number of files that were there.

        number: of the signal that stops it, in place of kill -9: see processes.stop.
        """
        died, tries, fell = 0, 0, collections.Counter()
        while died < times:
            tries += 1
            assert tries < 4 * times + 10, "it ends before it can be killed"
            chance = random.Random(f"{seed} {tries}")
            self.begin()
            finished = self.untouched()
            process = processes.start(*self.words(), cwd=self.folder)
            moment = self._wait(process, chance)
            alive = process.poll() is None
            told = f"{type(self).__name__}, seed {seed!r}, trial {tries}, killed {moment}"
            print(told)
            if number is None:
                processes.kill_all(process)
            else:
                said = processes.stop(process, number)
                assert "Traceback" not in said and "Exception" not in said, f"{told}: {said}"
            died += alive
            if not alive:
                self.usual *= 0.95  # the first run was slower, as the machine was busy
                self.changes = max(1, self.changes - 1)
            fell[len(self._look())] += alive
            try:
                self.check()
                assert self.untouched() == finished
                self.again()
                undisturbed.assert_same(self.result(), self.want)
                assert self.untouched() == finished
            except AssertionError as error:
                raise AssertionError(f"{told}: {error}") from error
        print(f"{type(self).__name__}: {died} killed, files then: {dict(sorted(fell.items()))}")
        return fell


class Days(Case):
    """Three channels, twenty minutes of each day, in frames of ten minutes."""

    rate = 1

    def make(self):
        needs("make", "parallel", "jq", "flock")
        self.frames, self.ffl, self.late = self.folder / "frames", self.folder / "t.ffl", self.folder / "late.ffl"
        self.channels, lines = self.folder / "channels.txt", []
        for day in DAYS:
            start = gps.day_window(day).start
            span = ("--start", start, "--end", start + 60 * MINUTES, "--duration", FILE, "--channels", 3)
            span += ("--rate", self.rate)
            made = command("make-frames", self.frames, *span, "--list", self.channels)
            lines.append(made.stdout.splitlines())
        self.ffl.write_text("".join(f"{line}\n" for each in lines for line in each))
        # One frame of the first and of the second day is still to come.
        self.late.write_text("".join(f"{line}\n" for each in (lines[0][:-1], lines[1][1:], lines[2]) for line in each))
        self.template = self.folder / "template"
        self.begin()
        self.first_run()
        if self.place.exists():
            self.place.rename(self.template)

    def first_run(self):
        """What was there before."""

    def begin(self):
        shutil.rmtree(self.place, ignore_errors=True)
        if self.template.exists():
            shutil.copytree(self.template, self.place, symlinks=True)

    def variables(self, ffl):
        given = {"FFL": ffl, "CHANNELS": self.channels, "OUT": self.place, "MINUTES": MINUTES, "INCREMENT": 300}
        return ["make", "-f", ROOT / "Makefile", *(f"{name}={value}" for name, value in given.items())]

    def result(self):
        return undisturbed.days(self.place)

    def seen(self):
        return undisturbed.days(self.place) if self.place.exists() else {}

    def check(self):
        undisturbed.check_days(self.place, self.before, self.after)


class NewDay(Days):
    def words(self):
        return [*self.variables(self.ffl), f"DAY={FIRST}"]


class FastDay(NewDay):
    """A day whose file is the body that its parts were put into."""

    rate = 1024


class LateDay(NewDay):
    """A day that is finished, and a frame of it that has come since."""

    def first_run(self):
        self.run(*self.variables(self.late), f"DAY={FIRST}")


class Range(Days):
    """Of three days the first is finished, the second wants a late frame, the third is new."""

    def first_run(self):
        self.run(*self.variables(self.late), "range", "-j2", f"FIRST={FIRST}", f"LAST={DAYS[1]}")

    def words(self):
        return [*self.variables(self.folder / "range.ffl"), "range", "-j2", f"FIRST={FIRST}", f"LAST={LAST}"]

    def make(self):
        super().make()
        late, whole = self.late.read_text().splitlines(), self.ffl.read_text().splitlines()
        first_day = gps.day_window(FIRST)
        keep = [line for line in late if float(line.split()[1]) < first_day.end]
        rest = [line for line in whole if float(line.split()[1]) >= first_day.end - FILE and line not in keep]
        (self.folder / "range.ffl").write_text("".join(f"{line}\n" for line in keep + rest))

    def check(self):
        super().check()
        if self.place.exists():
            try:
                index.write(str(self.place))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # where the disk is full there is no room for ours either
                return
            told = json.loads((self.place / "index.json").read_text())
            assert "running" not in {day["status"] for day in told["days"].values()}

    def untouched(self):
        made = undisturbed.made(self.place)
        return {path: stamp for path, stamp in made.items() if path.startswith(f"V1trend-{FIRST}/")}


class Lower(Days):
    """Three days at a lower rate: of two their source has been made again since, one is new."""

    def first_run(self):
        full, few = f"OUT={self.folder / 'full'}", ("range", "-j2", f"FIRST={FIRST}", f"LAST={DAYS[1]}")
        self.run(*self.variables(self.late), full, *few)
        self.run(*self.lower(), *few)
        self.run(*self.variables(self.ffl), full, *few[:-1], f"LAST={LAST}")

    def lower(self):
        given = {"SOURCE": self.folder / "full", "RATE": "0.1", "OUT": self.place}
        return ["make", "-f", ROOT / "Makefile", *(f"{name}={value}" for name, value in given.items())]

    def words(self):
        return [*self.lower(), "range", "-j2", f"FIRST={FIRST}", f"LAST={LAST}"]


class Streams(Case):
    """A folder of streams to which come late files and new ones, a new channel among them."""

    def make(self):
        self.tree, source = self.folder / "tree", self.folder / "source"
        few = {"H0:PEM-EX_SEISX": "f4", "H0:PEM-EX_RAIN": "i4"}
        begins = elab.NIGHT
        first = [elab.frame(source, begins + hour * elab.HOUR, few) for hour in (0, 2, 3)]
        then = [elab.frame(source, begins + hour * elab.HOUR, few | {"H0:PEM-LVEA_MAGX": "f4"}) for hour in (1, 4)]
        then.append(elab.frame(source, begins + 2 * elab.HOUR + elab.TEN, {"H0:PEM-EX_SEISX": "f4"}, fine=True))
        self.template = self.folder / "template"
        elab.arrive(first, source, self.tree)
        elab.imported(self.tree, self.template)
        elab.arrive(then, source, self.tree)

    def begin(self):
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.template, self.place)

    def words(self):
        return [BIN / "import-streams", self.tree, self.place]

    def again(self):
        files._looked.clear()  # as in a process of its own
        assert importer.run(str(self.tree), str(self.place)).faulty == []

    def result(self):
        return undisturbed.streams(self.place)

    def seen(self):
        return undisturbed.opened(self.place)

    def check(self):
        undisturbed.check_streams(self.place, self.before, self.after)


class Export(Case):
    """Two days of streams as day files: the first was exported from less, the day before them stays as it is."""

    days = ("2016-05-21", "2016-05-22", "2016-05-23")

    def make(self):
        starts = [gps.day_window(day).start for day in self.days]
        self.streams, self.template = self.folder / "streams", self.folder / "template"
        for count in (2, 3):
            written = Written(DOUBLE, 256)
            for start in starts[:count]:
                written.file((start // 60 + 1) * 60, 60, [1.0 + k for k in range(30 * count)])
            for name in ("H0:PEM-EX_SEISX", "H0:PEM-EX_SEISY"):
                written.write(self.streams, name)
            if count == 2:
                for day in self.days[:2]:
                    command("export-streams", self.streams, "--day", day, "--out", self.template)

    def begin(self):
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.template, self.place)

    def words(self):
        span = ("--first", self.days[1], "--last", self.days[2])
        return [BIN / "export-streams", self.streams, *span, "--out", self.place]

    def result(self):
        return undisturbed.days(self.place)

    seen = result

    def check(self):
        undisturbed.check_days(self.place, self.before, self.after)

    def untouched(self):
        stat = (self.place / f"elab-{self.days[0]}" / "elab_20160521.h5").stat()
        return stat.st_ino, stat.st_size


class Night(Case):
    """A night: frames come by rsync, streams are imported, a day is built of which a part was there."""

    def make(self):
        needs("make", "parallel", "jq", "flock", "timeout", "rsync")
        start, self.source = gps.day_window(FIRST).start, self.folder / "source"
        self.channels = self.folder / "channels.txt"
        span = ("--start", start, "--end", start + 60 * MINUTES, "--duration", FILE, "--channels", 3)
        command("make-frames", self.source / "trend", *span, "--list", self.channels)
        few = {"H0:PEM-EX_SEISX": "f4", "H0:PEM-EX_RAIN": "i4"}
        for hour in (0, 1, 3):
            elab.frame(self.source, elab.NIGHT + hour * elab.HOUR, few)
        self.template, self.settings = self.folder / "template", self.folder / "nightly.conf"
        given = {
            "SOURCES": f"{self.source / 'trend'}\n{self.source / 'minute-trend'}\n",
            "FRAMES": self.place / "frames", "FFL": self.place / "frames" / "trend", "CHANNELS": self.channels,
            "STREAMS": self.place / "streams", "OUT": self.place / "out", "LOGS": self.place / "logs",
            "DAYS": 1, "FIRST_DAY": FIRST, "PICTURE_DAYS": "", "RANGE_OPTIONS": f"(MINUTES={MINUTES} INCREMENT=300)",
        }  # fmt: skip
        self.settings.write_text(
            "".join(
                f"{name}={value}\n" if str(value)[:1] == "(" else f"{name}='{value}'\n" for name, value in given.items()
            )
        )
        self.begin()
        # The night before had all but a frame of each.
        hidden = [max(self.source.glob("trend/*")), elab.path_of(self.source, elab.NIGHT + elab.HOUR)]
        for path in hidden:
            path.rename(self.folder / path.name)
        self.again()
        for path in hidden:
            (self.folder / path.name).rename(path)
        self.place.rename(self.template)

    def begin(self):
        shutil.rmtree(self.place, ignore_errors=True)
        if self.template.exists():
            shutil.copytree(self.template, self.place, symlinks=True)

    def words(self):
        return [ROOT / "cron" / "nightly", "--until", FIRST, self.settings]

    def frames(self):
        found = sorted(path for path in (self.place / "frames").rglob("*") if path.is_file())
        names = {str(path.relative_to(self.place)): path.read_bytes() for path in found if path.suffix == ".gwf"}
        return names, [path.name for path in found if path.name not in names and path.suffix != ".gwf"]

    def result(self):
        streams = undisturbed.streams(self.place / "streams")
        return self.frames()[0], undisturbed.days(self.place / "out"), streams

    def seen(self):
        return self.frames()[0], undisturbed.days(self.place / "out"), undisturbed.opened(self.place / "streams")

    def check(self):
        frames = {path: data for path, data in self.frames()[0].items() if "/." not in path}
        assert frames.items() <= self.after[0].items(), "a frame is there in part"
        undisturbed.check_days(self.place / "out", self.before[1], self.after[1])
        undisturbed.check_streams(self.place / "streams", self.before[2], self.after[2])


def kill(case, folder, times, *seed, number=None):
    seed = " ".join(map(str, (os.environ.get("FRAMEMAKE_SEED", "1"), *seed)))
    return case(folder).kill(times, seed, number)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "times"), [(Range, 1), (FastDay, 3), (Streams, 4), (Export, 2)])
def test_what_is_killed_anywhere_is_ended_by_the_next_run(tmp_path, case, times):
    kill(case, tmp_path, times)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("case", "times"), [(LateDay, 4), (Range, 2)])
def test_what_is_stopped_anywhere_is_ended_by_the_next_run(tmp_path, case, times, number):
    kill(case, tmp_path, times, int(number), number=number)


# 350 moments; in pieces, so that several cores share them.
MANY = [(NewDay, 25, 1), (FastDay, 25, 1), (LateDay, 25, 1), (Range, 13, 1), (Range, 12, 2)]
MANY += [(Lower, 25, 1), (Night, 8, 1), (Night, 7, 2), (Streams, 70, 1), (Streams, 70, 2)]
MANY += [(Export, 35, 1), (Export, 35, 2)]


@pytest.mark.long
@pytest.mark.parametrize(("case", "times", "which"), MANY)
def test_killed_at_many_moments(tmp_path, case, times, which):
    fell = kill(case, tmp_path, times, "long", which)
    # Not always at the same place.
    assert len(fell) > 1


# A command that only begins tells of Ctrl-C in Python's words, if it was not make that began it.
STOPS = [(LateDay, 30, signal.SIGINT), (LateDay, 30, signal.SIGTERM), (FastDay, 20, signal.SIGINT)]
STOPS += [(FastDay, 20, signal.SIGTERM), (Range, 15, signal.SIGINT), (Range, 15, signal.SIGTERM)]
STOPS += [(Lower, 15, signal.SIGINT), (Lower, 15, signal.SIGTERM), (Night, 8, signal.SIGTERM)]
STOPS += [(Streams, 40, signal.SIGTERM), (Export, 30, signal.SIGTERM)]


@pytest.mark.long
@pytest.mark.parametrize(("case", "times", "number"), STOPS)
def test_stopped_at_many_moments(tmp_path, case, times, number):
    fell = kill(case, tmp_path, times, "stops", int(number), number=number)
    assert len(fell) > 1
