"""Frames that are replaced after their import, and other programs that write to the streams: seen, told, put right."""

import json
import os
import shutil

import numpy as np
import pytest
from framemake.errors import BadInput
from framemake.host import faults
from framemake.streams import records, store
from framemake.streams.intake import importer, writing
from support import streams as made
from support.commands import long, run, well
from support.streams import HOUR, NIGHT

# Each imports several times over.
pytestmark = pytest.mark.slow

RAIN, SEIS, TILT = "H0:PEM-EX_RAIN", "H0:PEM-EX_SEISX", "H0:PEM-LVEA_TILTX"
ALL = {RAIN: "i4", SEIS: "f4", TILT: "f8"}


@pytest.fixture
def tree(tmp_path):
    return tmp_path / "frames"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "streams"


def healed(start, names=tuple(ALL)):
    """Signals of an hour with other values than made.frame writes."""
    values = {name: {"mean": np.full(60, 7, ALL[name]), "rms": np.full(60, 9, ALL[name])} for name in names}
    return [signal for name in names for signal in made.trend(name, start, 60, 60, ALL[name], **values[name])]


def once(tmp_path, tree):
    """The stream files that one import of the whole tree gives."""
    folder = tmp_path / "once"
    shutil.rmtree(folder, ignore_errors=True)
    importer.run(str(tree), str(folder))
    return made.contents(folder)


def hours(tree, *numbers):
    return [made.frame(tree, NIGHT + number * HOUR, ALL) for number in numbers]


def listed(tree, out):
    """What is faulty now: [(path, reason)]."""
    return [(fault.name, fault.reason) for fault in faults.of_streams(str(out), str(tree))]


# --- a frame that is another one ---------------------------------------------------------


@pytest.mark.parametrize("hour", [0, long(1), long(2)])
def test_a_frame_that_was_replaced_is_put_in_its_place(tmp_path, tree, out, hour):
    """It was ignored: nobody noted what an imported file was."""
    hours(tree, 0, 1, 2)
    made.imported(tree, out)
    before = made.contents(out)
    made.frame(tree, NIGHT + hour * HOUR, healed(NIGHT + hour * HOUR))
    done = importer.run(str(tree), str(out))
    assert (done.files, done.faulty, done.rewritten) == (0, [], sorted(ALL))
    assert made.contents(out) == once(tmp_path, tree) != before
    assert well("check-streams", out, "--frames", tree) == ""
    # It is what was imported from now on.
    again = importer.run(str(tree), str(out))
    assert (again.files, again.records, again.rewritten) == (0, 0, [])
    assert sorted(made.logged(out)) == sorted({*made.logged(out)}) and len(made.logged(out)) == 3


def test_a_frame_that_was_touched_alone_changes_nothing(tree, out):
    paths = hours(tree, 0, 1, 2)
    made.imported(tree, out)
    before = made.contents(out)
    os.utime(paths[1], ns=(5, 5))
    done = importer.run(str(tree), str(out))
    assert (done.records, done.faulty, done.rewritten) == (0, [], [])
    assert made.contents(out) == before


def test_of_several_replaced_and_late_ones_all_come_to_their_place(tmp_path, tree, out):
    hours(tree, 0, 1, 3, 4)
    made.imported(tree, out)
    for number in (1, 4):
        made.frame(tree, NIGHT + number * HOUR, healed(NIGHT + number * HOUR))
    hours(tree, 2, 5)
    done = importer.run(str(tree), str(out))
    assert (done.files, done.faulty) == (2, [])
    assert made.contents(out) == once(tmp_path, tree)


def test_a_replaced_frame_whose_neighbours_are_gone_is_told_until_they_are_back(tmp_path, tree, out):
    """It was ignored, and prune-frames offered it."""
    paths = hours(tree, 0, 1, 2)
    made.imported(tree, out)
    before = made.contents(out)
    kept = paths[2].read_bytes()
    paths[2].unlink()
    made.frame(tree, NIGHT + HOUR, healed(NIGHT + HOUR))
    status, _, said = run("import-streams", tree, out)
    assert status == 3 and f"a file with faults, {paths[1].name!r}" in said
    assert made.contents(out) == before
    assert "was replaced, and the new one cannot be put in its place" in made.errors(out)[-1]
    for _ in range(2):
        made.imported(tree, out)
        ((path, reason),) = listed(tree, out)
        assert path == str(paths[1]) and "was replaced" in reason
    status, offered, said = run("prune-frames", tree, "--streams", out, "--keep-days", "1")
    assert offered == f"{paths[0]}\n" and f"could not be used for the streams: {str(paths[1])!r}" in said
    # Its neighbour is back, and it is healed once more.
    paths[2].write_bytes(kept)
    made.frame(tree, NIGHT + HOUR, healed(NIGHT + HOUR, (RAIN, SEIS, TILT)))
    os.utime(paths[1], ns=(7, 7))
    assert importer.run(str(tree), str(out)).faulty == []
    assert listed(tree, out) == [] and made.contents(out) == once(tmp_path, tree)


def test_a_frame_that_is_replaced_by_a_damaged_one_is_told_and_costs_nothing(tmp_path, tree, out):
    paths = hours(tree, 0, 1, 2)
    made.imported(tree, out)
    before, whole = made.contents(out), paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    assert importer.run(str(tree), str(out)).faulty == [paths[1].name]
    assert made.contents(out) == before and [path for path, _ in listed(tree, out)] == [str(paths[1])]
    paths[1].write_bytes(whole)
    assert importer.run(str(tree), str(out)).faulty == []
    assert made.contents(out) == before and listed(tree, out) == []


def test_a_channel_that_the_new_file_lacks_is_told_and_its_samples_stay(tree, out):
    paths = hours(tree, 0, 1, 2)
    made.imported(tree, out)
    before = made.contents(out)
    made.frame(tree, NIGHT + HOUR, healed(NIGHT + HOUR, (RAIN, SEIS)))
    assert importer.run(str(tree), str(out)).faulty == [paths[1].name]
    after = made.contents(out)
    assert after[f"{TILT}.bin"] == before[f"{TILT}.bin"] and after[f"{RAIN}.bin"] != before[f"{RAIN}.bin"]
    ((path, reason),) = listed(tree, out)
    assert path == str(paths[1]) and reason.startswith(f"{TILT}: was replaced by a file without it")


def test_prune_frames_keeps_a_frame_that_has_changed_since_its_import(tree, out):
    paths = hours(tree, 0, 1)
    made.imported(tree, out)
    made.frame(tree, NIGHT, healed(NIGHT))
    status, offered, said = run("prune-frames", tree, "--streams", out, "--keep-days", "1")
    assert (status, offered) == (3, f"{paths[1]}\n")
    assert said == f"prune-frames: kept, has changed since it came into the streams: {str(paths[0])!r}\n"


def test_of_what_files_were_the_last_word_stays_also_of_those_that_left_the_tree(tmp_path, tree, out):
    """The list of it gets a line more whenever a file is another; it is written anew when most lines are of no use."""
    hours(tree, 0, 1)
    importer.run(str(tree), str(out))
    path, state = out / ".framemake" / "stamps", json.loads((out / ".framemake" / "state.json").read_text())
    gone = [f"H-M-{NIGHT - number * HOUR}-3600.gwf" for number in range(1, 11)]
    lines = [f"{size}\t{size + 1}\t{name}\n" for size in range(200) for name in gone]
    path.write_text("".join(lines) + path.read_text())
    state["stamps"] = path.stat().st_size
    (out / ".framemake" / "state.json").write_text(json.dumps(state))
    hours(tree, 2)
    assert importer.run(str(tree), str(out)).files == 1
    found = writing.stamps(str(out))
    assert len(found) == 13 and all(found[name] == (199, 200) for name in gone)
    assert len(path.read_text().splitlines()) == 13
    assert importer.run(str(tree), str(out)).files == 0 and writing.stamps(str(out)) == found


def test_streams_of_before_there_were_stamps_are_gone_on_with(tmp_path, tree, out):
    """What the files were is noted by the first import, and then a change is seen."""
    hours(tree, 0, 1, 2)
    made.imported(tree, out)
    (out / ".framemake" / "stamps").unlink()
    state = json.loads((out / ".framemake" / "state.json").read_text())
    del state["stamps"]
    (out / ".framemake" / "state.json").write_text(json.dumps(state))
    before = made.contents(out)
    made.imported(tree, out)
    assert made.contents(out) == before and len(writing.stamps(str(out))) == 3
    made.frame(tree, NIGHT + HOUR, healed(NIGHT + HOUR))
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)


def test_an_import_that_is_stopped_forgets_no_replaced_frame(tmp_path, tree, out, monkeypatch):
    """What a file was is noted with the commit of what it holds, not before."""
    hours(tree, 0, 1, 2)
    made.imported(tree, out)
    made.frame(tree, NIGHT + HOUR, healed(NIGHT + HOUR))
    whole = writing.Writer.commit

    def stopped(self, *args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing.Writer, "commit", stopped)
    with pytest.raises(KeyboardInterrupt):
        importer.run(str(tree), str(out))
    monkeypatch.setattr(writing.Writer, "commit", whole)
    assert importer.run(str(tree), str(out)).rewritten == sorted(ALL)
    assert made.contents(out) == once(tmp_path, tree)


@pytest.mark.long
def test_an_import_of_a_replaced_frame_that_is_killed_at_any_of_its_writes_is_continued(tmp_path, tree, out):
    hours(tree, 0, 1, 3)
    made.imported(tree, out)
    made.frame(tree, NIGHT + HOUR, healed(NIGHT + HOUR))
    hours(tree, 2, 4)
    expected = once(tmp_path, tree)
    shutil.copytree(out, tmp_path / "begun")
    for call in range(1, 1000):
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "begun", out)
        died = made.killed_at(call, tree, out)
        made.imported(tree, out)
        assert made.contents(out) == expected, call
        assert len(made.logged(out)) == len(set(made.logged(out))) == len(writing.stamps(str(out))) == 5
        if not died:
            break
    assert call > 20


# --- another program that writes ---------------------------------------------------------


def grow(out, name=SEIS):
    """Append a record to a stream, as an ImportData does."""
    path = out / f"{name}.bin"
    last = np.fromfile(path, records.record("float"))[-1:]
    last["time"] += 60
    with open(path, "ab") as stream:
        stream.write(last.tobytes())


def test_an_import_says_that_another_program_has_written_to_the_streams(tree, out):
    """It went on silently."""
    hours(tree, 0)
    made.imported(tree, out)
    grow(out)
    with open(out / "ligoimport.files", "a") as log:
        log.write("H-M-1-3600.gwf\n")
    hours(tree, 1)
    status, data, said = run("import-streams", tree, out)
    assert (status, data) == (3, "")
    assert f"another program has written to the streams since our last import, to 2 files such as '{SEIS}.bin'" in said
    assert any("another program has written" in line for line in made.errors(out))
    made.commanded(tree, out)


def test_an_import_that_was_killed_takes_its_own_rest_for_no_other_program(tree, out):
    hours(tree, 0)
    made.imported(tree, out)
    grow(out)
    (out / ".framemake" / "running").touch()
    assert importer.run(str(tree), str(out)).others == []
    assert len(made.records(out, SEIS)) == 60


@pytest.mark.parametrize("what", ["stream", "log"])
def test_an_import_ends_when_another_program_writes_at_the_same_time(tmp_path, tree, out, what):
    """Both wrote at the same place, and neither noticed."""
    hours(tree, 0)
    made.imported(tree, out)
    before = {name: store.open_stream(str(out), name).records[:].tobytes() for name in ALL}
    hours(tree, 1)

    def meanwhile(done, total):
        if what == "stream":
            grow(out)
        else:
            with open(out / "ligoimport.files", "a") as log:
                log.write("H-M-1-3600.gwf\n")

    with pytest.raises(BadInput, match="another program writes to the streams at the same time"):
        importer.run(str(tree), str(out), progress=meanwhile)
    assert {name: store.open_stream(str(out), name).records[:].tobytes() for name in ALL} == before
    made.imported(tree, out)
    assert made.contents(out) == once(tmp_path, tree)


# --- an e-Lab that keeps indexes in memory -----------------------------------------------


def info_bytes(out):
    """What the e-Lab's own engine looks at each hour to see whether it must read the indexes again."""
    return sum(path.stat().st_size for path in out.glob("*.info"))


def test_a_late_frame_is_told_to_whoever_runs_an_elab(tree, out):
    """Its engine showed shifted values, and nothing said so."""
    hours(tree, 0, 2)
    made.imported(tree, out)
    before = info_bytes(out)
    hours(tree, 1)
    said = made.commanded(tree, out)
    assert "the end of 3 streams was written anew" in said and "when it is restarted" in said
    assert info_bytes(out) == before
    assert "written anew" not in made.commanded(tree, out)


@pytest.mark.long
def test_with_reload_the_elab_sees_that_the_indexes_changed(tmp_path, tree, out):
    hours(tree, 0, 2)
    made.imported(tree, out)
    sizes = [info_bytes(out)]
    for hour in (1, 4, 3):
        hours(tree, hour)
        assert "restarted" not in made.commanded(tree, out, "--reload")
        sizes.append(info_bytes(out))
    assert sorted(set(sizes)) == sizes
    # With nothing new it is left alone, and all but empty lines is what it would be without.
    made.commanded(tree, out, "--reload")
    assert info_bytes(out) == sizes[-1]
    one, other = once(tmp_path, tree), made.contents(out)
    for name in one:
        if name.endswith(".info"):
            assert other[name].rstrip(b"\n") == one[name].rstrip(b"\n")
            assert records.parse_info(other[name].decode(), name) == records.parse_info(one[name].decode(), name)
        else:
            assert other[name] == one[name]
    assert well("check-streams", out, "--frames", tree) == ""
