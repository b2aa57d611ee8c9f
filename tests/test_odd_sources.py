"""Sources that are odd or hostile: no plain files, links, names; what they hold stays outside, what is well comes.

Nothing here may wait for ever: a pipe to which nobody writes is the least of what can lie in a folder.
"""

import json
import os
import shutil
import signal
import socket
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from framemake import child, files, gwf
from framemake.errors import BadInput
from framemake.frames import catalog, lists
from framemake.host import faults, mirror
from framemake.host.mirror import Outcome, Result
from framemake.serve import answers
from framemake.serve.days import LONG, ServedDays
from framemake.serve.query import Refused
from framemake.serve.streams import ServedStreams
from framemake.streams import store
from framemake.streams.intake import disk, importer, samples, tree
from support import streams as made
from support.commands import START, needs
from support.inside import DaySite, inside
from support.sites import ramp
from support.sites import signal as samples_of
from support.streams import HOUR, NIGHT

SEIS, RAIN = "H0:PEM-EX_SEISX", "H0:PEM-EX_RAIN"


@pytest.fixture(autouse=True)
def patience():
    """Who waits for what never comes fails, and does not hold up the others."""

    def over(*_):
        pytest.fail("waits for ever")  # no Exception, which might be taken for a fault of the file

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(40)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def a_pipe(path):
    os.mkfifo(path)


def a_device(path):
    os.symlink("/dev/zero", path)


def a_folder(path):
    path.mkdir()


def a_socket(path):
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)  # a path may be too long for a socket
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def a_link_to_itself(path):
    path.symlink_to(path)


def a_link_to_nothing(path):
    path.symlink_to(path.with_name("nothing"))


ODD = [a_pipe, a_device, a_folder, a_socket]
ABSENT = [a_link_to_itself, a_link_to_nothing]


# --- days ------------------------------------------------------------------------------------


@pytest.mark.parametrize("plant", [*ODD, *ABSENT])
def test_what_is_no_file_is_told_and_its_neighbours_come(tmp_path, plant):
    site = DaySite(tmp_path)
    site.want("V1:A")
    plant(site.frames / f"V-test-{START + 60}-60.gwf")
    site.list(site.frames / f"V-test-{START + 60}-60.gwf", START + 60, 60)
    for minute in (0, 2):
        site.frame(60 * minute, 60, [samples_of(first=60 * minute)])
    assert "V1:A" in inside("prune-channels", site.ffl, site.channels).stdout
    site.build(180)
    want = ramp(180)
    want[60:120] = np.nan
    np.testing.assert_array_equal(site.read("V1:A")[0], want)
    summary = site.json("summary")
    if plant in ABSENT:
        assert summary["frame_files"]["absent"] == 1
    else:
        assert [each["gps_start"] for each in summary["bad_frames"]] == [START + 60]
    # A folder of frames is searched, and what is no file in it is no frame, or one that is told.
    listed = {Path(frame.path).name for frame in lists.list_frames(str(site.frames)).frames}
    assert len(listed) == (2 if plant is a_folder else 3)


def test_what_has_no_end_is_read_by_nobody(tmp_path):
    for plant in (a_pipe, a_device):
        plant(tmp_path / plant.__name__)
        with pytest.raises(gwf.BadFrame, match="not a plain file"):
            gwf.open_file(tmp_path / plant.__name__)
        assert gwf.refusal(tmp_path / plant.__name__) == ""


def test_a_path_that_no_line_can_hold_is_refused_and_not_written(tmp_path):
    for name in ("a\nb.gwf", "a\tb.gwf", "a\rb.gwf", "a\x85b.gwf"):
        frame = catalog.Frame(f"/{name}", START, 60)
        for line in (catalog.table_line, catalog.ffl_line):
            with pytest.raises(BadInput, match="cannot stand in a list"):
                line(frame)


def test_a_list_may_name_others_but_not_itself(tmp_path):
    site = DaySite(tmp_path)
    path = site.frame(0, 60, [samples_of()])
    inner, outer = tmp_path / "inner.ffl", tmp_path / "outer.ffl"
    inner.write_text(f"file://localhost{str(path).replace('V-test', '%56-test')} {START} 60 0 0\n")
    outer.write_text("inner.ffl\ninner.ffl\n")
    assert [frame.path for frame in lists.list_frames(str(outer)).frames] == [str(path)]
    inner.write_text("outer.ffl\n")
    with pytest.raises(BadInput, match="names itself"):
        lists.named(str(outer))
    inner.write_text(f"gsiftp://host{path} {START} 60\n")
    with pytest.raises(BadInput, match="neither a local frame file nor"):
        lists.named(str(outer))


# --- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("plant", [*ODD, *ABSENT])
def test_what_is_no_file_in_the_tree_of_an_import_is_told_and_the_others_come(tmp_path, plant):
    root, streams = tmp_path / "frames", tmp_path / "streams"
    made.frame(root, NIGHT, {RAIN: "i4"})
    odd = made.path_of(root, NIGHT + HOUR)
    plant(odd)
    plant(odd.with_name(f".{odd.name}"))  # of what begins with a dot nothing is said
    plant(odd.with_name("readme"))
    made.frame(root, NIGHT + 2 * HOUR, {RAIN: "i4"})
    done = importer.run(str(root), str(streams))
    assert done.files == 2 and odd.name in {os.path.basename(name) for name in done.faulty}
    assert len(store.open_stream(str(streams), RAIN).records) == 122
    told = {os.path.basename(fault.name) for fault in faults.of_streams(str(streams), str(root))}
    assert told == {odd.name, "readme"}
    # What the system did not give is tried again, and told again.
    again = importer.run(str(root), str(streams)).faulty
    assert again == ([] if plant in (a_pipe, a_device, a_folder) else [odd.name])
    # What is gone is no fault any more; the frame that comes in its place is late, and put there.
    shutil.rmtree(odd) if odd.is_dir() and not odd.is_symlink() else odd.unlink()
    other = odd.with_name("readme")
    shutil.rmtree(other) if other.is_dir() and not other.is_symlink() else other.unlink()
    assert not list(faults.of_streams(str(streams), str(root)))
    made.frame(root, NIGHT + HOUR, {RAIN: "i4"})
    assert importer.run(str(root), str(streams)).faulty == []
    assert len(store.open_stream(str(streams), RAIN).records) == 180


def test_a_frame_that_lies_about_its_time_gives_nothing(tmp_path):
    root, streams = tmp_path / "frames", tmp_path / "streams"
    made.frame(root, NIGHT, {RAIN: "i4"})
    for start, later in ((NIGHT + HOUR, NIGHT + 2 * HOUR), (NIGHT + HOUR, NIGHT + HOUR + 60), (NIGHT + HOUR, NIGHT)):
        path = made.frame(tmp_path / "other", later, {RAIN: "i4"})
        shutil.copy(path, made.path_of(root, start))
        done = importer.run(str(root), str(streams))
        assert done.records == (60 if not done.faulty else 0) or done.faulty == [made.path_of(root, start).name]
        assert len(store.open_stream(str(streams), RAIN).records) == 60
        assert "outside of what its name tells" in made.errors(streams)[-1]


def test_two_channels_that_are_one_stream_are_told_and_only_the_first_is_taken(tmp_path):
    signals = made.trend("H0:X-Y-Z", NIGHT, 60, 60) + made.trend("H0:X-Y_Z", NIGHT, 60, 60, mean=np.ones(60, "f4"))
    path = made.frame(tmp_path, NIGHT, signals)
    found, wrong = samples.read(tree.files(str(tmp_path), "LHO").files[0])
    assert list(found) == ["H0:X-Y_Z"] and len(wrong) == 1 and "the same stream" in wrong[0][1]
    assert found["H0:X-Y_Z"].channel == next(name for name in gwf.open_file(path).kinds if name.startswith("H0:X"))[:-5]


def test_what_each_of_a_pair_marks_as_bad_is_bad(tmp_path):
    """The mean says that some of its samples are bad, the rms that others are: none of them is data."""
    mean, rms = made.trend("H0:PEM-EX_SEISX", NIGHT, 60, 60)
    flags = np.zeros((2, 60), "u2")
    flags[0, 3], flags[1, 7] = 1, 1
    made.frame(tmp_path, NIGHT, [mean._replace(mask=flags[0]), rms._replace(mask=flags[1])])
    found, _ = samples.read(tree.files(str(tmp_path), "LHO").files[0])
    assert np.flatnonzero(found[SEIS].pieces[0].bad).tolist() == [3, 7]


@pytest.fixture
def streams(tmp_path):
    made.frame(tmp_path / "frames", NIGHT, {SEIS: "f4", RAIN: "i4"})
    made.imported(tmp_path / "frames", tmp_path / "streams")
    return tmp_path / "streams"


def away(path):
    """Move a path elsewhere, and leave a link to it."""
    elsewhere = path.parent.parent / f"elsewhere {path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("suffix", store.SUFFIXES)
def test_a_link_is_no_stream_that_is_served(streams, suffix):
    """Whatever it leads to may be anything on the machine."""
    served = ServedStreams(str(streams))
    assert served.names() == [RAIN, SEIS]
    away(streams / f"{SEIS}{suffix}")
    assert served.names() == [RAIN]
    with pytest.raises(Refused, match="no such stream"):
        served.open(SEIS)
    away(streams / f"{RAIN}{suffix}")
    assert served.names() == []


@pytest.mark.parametrize("where", [".framemake", ".framemake/new", ".framemake/state.json"])
def test_of_a_hidden_folder_that_is_a_link_nothing_is_served(streams, where):
    served = ServedStreams(str(streams))
    away(streams / where)
    assert served.names() == []


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../streams/x", "a/b", "a\0b", "\udc80", f"../{SEIS}"])
def test_a_name_that_leads_elsewhere_is_none(streams, name):
    served = ServedStreams(str(streams))
    for ask in (served.open, served.tag):
        with pytest.raises(Refused):
            ask(name)


def test_what_is_no_number_is_null_in_an_answer():
    found = answers.numbers(np.array([1.5, np.nan, np.inf, -np.inf, 0.0, -1e308]))
    assert found == [1.5, None, None, None, 0.0, -1e308]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_long_spans_take_turns_and_each_gives_its_turn_back(tmp_path):
    served = ServedDays(str(tmp_path))
    with served._turn(LONG + 1), served._turn(LONG + 1):
        with pytest.raises(Refused, match="busy"), served._turn(LONG + 1):
            pass
        with served._turn(LONG):
            pass
    for _ in range(5):
        with pytest.raises(ValueError), served._turn(LONG + 1):
            raise ValueError
    with served._turn(LONG + 1):
        pass


# --- mirrors ---------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.gwf").write_text("secret")
    tree = tmp_path / "source" / "trend"
    tree.mkdir(parents=True)
    (tree / "H-T-1-60.gwf").write_text("a frame")
    return tree


def mirrored(source, dest, **more):
    came, said = [], []
    needs("rsync")
    found = mirror.run([mirror.Origin(str(source))], str(dest), came.append, said.append, more=more)
    return found, came, said


def test_links_that_lead_out_of_the_tree_do_not_come(source, tmp_path):
    """A server whose tree holds a link to /etc/shadow must not have us keep, and serve, what it names here."""
    (source / "inside.gwf").symlink_to("H-T-1-60.gwf")
    (source / "absolute.gwf").symlink_to(tmp_path / "outside" / "secret.gwf")
    (source / "up.gwf").symlink_to("../../outside/secret.gwf")
    (source / "folder").symlink_to("../../outside")
    (source / "etc.gwf").symlink_to("/etc/passwd")
    _, came, _ = mirrored(source, tmp_path / "dest")
    there = {path.name for path in (tmp_path / "dest" / "trend").iterdir()}
    assert there == {"H-T-1-60.gwf", "inside.gwf"}
    assert (tmp_path / "dest" / "trend" / "inside.gwf").read_text() == "a frame"
    assert [os.path.basename(path) for path in came] == ["H-T-1-60.gwf"]


def test_what_is_no_file_at_the_source_does_not_come_and_holds_nothing_up(source, tmp_path):
    for plant in (a_pipe, a_socket, a_device):
        plant(source / f"{plant.__name__}.gwf")
    (source / "a b $(touch owned) `id`.gwf").write_text("odd")
    (source / "two\nlines.gwf").write_text("odd")
    result, came, _ = mirrored(source, tmp_path / "dest")
    assert result is Result.DONE and not Path("owned").exists()
    there = {path.name for path in (tmp_path / "dest" / "trend").iterdir()}
    assert there == {"H-T-1-60.gwf", "a b $(touch owned) `id`.gwf", "two\nlines.gwf"}
    assert f"{tmp_path}/dest/trend/a b $(touch owned) `id`.gwf" in came


def test_rsync_is_told_to_write_frames_whole_to_the_disk_and_to_bring_no_link_out_of_the_tree(tmp_path, monkeypatch):
    """What a power cut would tell: a file that has its name is on the disk."""
    needs("rsync")
    words = mirror._command(mirror.Origin("rsync://host/trend"), str(tmp_path), str(tmp_path / "log"), {})
    assert {"--fsync", "--safe-links", "--times", f"--partial-dir={mirror.PARTIAL}", "--contimeout=60"} <= set(words)
    assert words[-3:] == ["--", "rsync://host/trend", f"{tmp_path}/"]
    words = mirror._command(mirror.Origin("host:/trend"), str(tmp_path), str(tmp_path / "log"), {"password-file": "x"})
    assert "--protect-args" in words and not any(word.startswith("--password-file") for word in words)


def test_a_source_of_which_every_frame_would_go_deletes_none(source, tmp_path):
    """Its disk is not there: nobody removes all frames at once.  One of two may go."""
    (source / "H-T-61-60.gwf").write_text("another")
    dest = tmp_path / "dest"
    assert mirrored(source, dest, delete=True)[0] is Result.DONE
    for path in source.iterdir():
        path.rename(tmp_path / path.name)
    result, _, said = mirrored(source, dest, delete=True)
    assert result is Result.MISSING and "None is deleted" in said[0] and len(list((dest / "trend").iterdir())) == 2
    (tmp_path / "H-T-61-60.gwf").rename(source / "H-T-61-60.gwf")
    assert mirrored(source, dest, delete=True)[0] is Result.DONE
    assert [path.name for path in (dest / "trend").iterdir()] == ["H-T-61-60.gwf"]
    # The last one that is left: all that there is.
    (source / "H-T-61-60.gwf").unlink()
    assert mirrored(source, dest, delete=True)[0] is Result.MISSING and len(list((dest / "trend").iterdir())) == 1


def test_what_a_mirror_starts_holds_its_lock_when_it_is_killed(tmp_path, monkeypatch):
    """rsync goes on for a while: no other must write to the tree meanwhile."""
    held = []

    class Process:
        stdout, returncode = iter(()), 0

        def __init__(self, words, pass_fds=(), **more):
            held.extend(os.readlink(f"/proc/self/fd/{each}") for each in pass_fds)

        def wait(self, *_):
            return 0

        poll = wait

    monkeypatch.setattr(mirror.subprocess, "Popen", Process)
    mirror.run([mirror.Origin("/source")], str(tmp_path), print, print)
    assert held == [str(tmp_path / mirror.OWN / "lock")]


@pytest.mark.parametrize(("kept", "coming", "left"), [(None, 5, 5), (3, 5, 5), (5, 5, 5), (7, 5, 7)])
def test_of_two_beginnings_of_a_frame_the_longer_is_gone_on_with(tmp_path, kept, coming, left):
    part = tmp_path / mirror.PARTIAL / "a.gwf"
    if kept:
        part.parent.mkdir()
        part.write_bytes(b"k" * kept)
    (tmp_path / ".a.gwf.Ab12Z9").write_bytes(b"c" * coming)
    (tmp_path / ".b.gwf.Ab12Z9").symlink_to("/etc/passwd")
    mirror.adopt(str(tmp_path))
    assert len(part.read_bytes()) == left and not (tmp_path / ".a.gwf.Ab12Z9").exists()
    assert (tmp_path / ".b.gwf.Ab12Z9").is_symlink()


@pytest.mark.parametrize(
    ("status", "said", "result", "words"),
    [
        (0, "", Result.DONE, ""),
        (24, 'file has vanished: "/a"\nrsync warning: some vanished (code 24)', Result.DONE, "1 file(s) vanished"),
        (23, "rsync: read errors\nrsync error: some did not come (code 23)", Result.MISSING, "1 messages"),
        (10, "connection refused", Result.MISSING, "the source is away, the connection failed"),
        (12, "connection unexpectedly closed", Result.MISSING, "the connection broke"),
        (5, "@ERROR: auth failed on module ligo", Result.FAILED, "refuses us (rsync 5: @ERROR: auth failed"),
        (11, "write failed: No space left on device (28)", Result.FAILED, "disk full"),
        (11, "write failed: Disk quota exceeded (122)", Result.FAILED, "disk full"),
        (1, "", Result.FAILED, "no reason given"),
        (-9, "", Result.FAILED, "killed by signal 9"),
    ],
)  # fmt: skip
def test_what_an_exit_of_rsync_means(status, said, result, words):
    found = mirror.outcome_of("rsync://host/ligo", status, said, "/frames", "/etc/pw")
    assert found.result is result and words in found.message and "\n" not in found.message
    assert ("'/etc/pw'" in found.message) == (status in (5, 1)) or status == 11
    # What rsync was stopped at may lie under a name that nobody looks for: the next run begins with a look.
    assert found.tidy == (status in (0, 5, 10, 23, 24))


def test_of_several_sources_the_worst_is_what_a_mirror_comes_to(source, tmp_path, monkeypatch):
    outcomes = {
        "a": Outcome(Result.DONE),
        "b": Outcome(Result.MISSING, "away"),
        "c": Outcome(Result.FAILED, "no", tidy=False),
    }
    monkeypatch.setattr(mirror, "_mirror", lambda origin, *more: outcomes[origin.address])
    for order in ("abc", "cba", "bac", "ca", "ba", "a"):
        said = []
        found = mirror.run([mirror.Origin(each) for each in order], str(tmp_path), print, said.append)
        worst = Result.FAILED if "c" in order else Result.MISSING if "b" in order else Result.DONE
        assert found is worst and len(said) == len(order) - 1
        # The mark of a run that may have left half a file stays until one has looked after it.
        assert (tmp_path / mirror.OWN / "running").exists() == ("c" in order)


# --- files, processes ------------------------------------------------------------------------


def test_who_fails_to_replace_a_file_leaves_the_old_one_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()):
        with pytest.raises(type(error)), files.replacing(path) as aside:
            Path(aside).write_text("half")
            raise error
        assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """fsync, and then rename: the other way round a power cut leaves an empty file under the name."""
    calls = []
    monkeypatch.setattr(os, "fsync", lambda handle, real=os.fsync: (calls.append("fsync"), real(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b, real=os.replace: (calls.append("replace"), real(a, b)))
    files.write(tmp_path / "one", "text")
    assert calls == ["fsync", "replace"]
    files.write(tmp_path / "one", "other", durable=False)
    assert calls == ["fsync", "replace", "replace"]
    assert not files.write_if_changed(tmp_path / "one", "other") and calls[2:] == ["replace"]
    assert files.write_if_changed(tmp_path / "one", "new") and (tmp_path / "one").read_text() == "new"


def test_two_processes_that_write_one_file_do_not_write_to_one_name(tmp_path):
    with files.replacing(tmp_path / "file") as mine:
        pid = os.fork()
        if not pid:
            with files.replacing(tmp_path / "file") as other:
                Path(other).write_text("the child's")
                os._exit(mine == other)
        assert os.waitpid(pid, 0)[1] == 0
        Path(mine).write_text("ours")
    assert (tmp_path / "file").read_text() == "ours"


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_link_is_replaced_and_not_what_it_leads_to(tmp_path, other_disk):
    """Which may be another's, or on another disk, where a rename does not lead."""
    if other_disk and (not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev):
        pytest.skip("no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if other_disk else tmp_path) as there:
        Path(there, "file").write_text("another's")
        (tmp_path / "link").symlink_to(Path(there, "file"))
        files.write(tmp_path / "link", "new")
        assert not (tmp_path / "link").is_symlink() and (tmp_path / "link").read_text() == "new"
        assert Path(there, "file").read_text() == "another's" and os.listdir(there) == ["file"]


def test_a_lock_is_held_by_one(tmp_path):
    with files.locked(tmp_path / "lock") as one:
        assert one is not None
        with files.locked(tmp_path / "lock", wait=False) as other:
            assert other is None
    with files.locked(tmp_path / "lock", wait=False) as again:
        assert again is not None


def test_a_write_that_the_system_does_in_part_is_gone_on_with(tmp_path, monkeypatch):
    """As near the end of a disk, or at a signal: pwrite gives how much it wrote."""
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: real(handle, data[:3], at))
    assert disk.write_at(str(tmp_path / "file"), 2, b"0123456789") == 10
    assert (tmp_path / "file").read_bytes() == b"\0\x000123456789"


def test_what_is_committed_was_on_the_disk_before_the_state_names_it(tmp_path, monkeypatch):
    """All records first, then the state, then the folder that has its name."""
    calls = []
    made.frame(tmp_path / "frames", NIGHT, {RAIN: "i4"})
    monkeypatch.setattr(disk, "sync_all", lambda folder, real=disk.sync_all: (calls.append("all"), real(folder)))
    monkeypatch.setattr(
        disk, "write_at", lambda path, *more, real=disk.write_at: (calls.append("write"), real(path, *more))[1]
    )
    replace = os.replace

    def replaced(a, b):
        calls.append(os.path.basename(b))
        replace(a, b)

    monkeypatch.setattr(os, "replace", replaced)
    importer.run(str(tmp_path / "frames"), str(tmp_path / "streams"))
    first = calls.index("all")
    assert "write" in calls[:first] and calls[first + 1] == "state.json"
    # New streams take their place only when the state names them, and then it no longer does.
    assert {f"{RAIN}{suffix}" for suffix in store.SUFFIXES} == {c for c in calls[first + 2 :] if c.startswith("H0:")}
    assert calls[-1] == "state.json" and store.load(str(tmp_path / "streams"))["pending"] == []


def test_a_signal_ends_what_a_program_has_started_too(tmp_path):
    """As make does not: what stands first in its recipes would go on."""
    told = tmp_path / "told"
    script = f"trap 'echo child >>{told}; exit' TERM; touch {tmp_path}/ready; while :; do sleep 0.05; done"

    def stop():
        while not (tmp_path / "ready").exists():
            pass
        os.kill(os.getpid(), child.signal.SIGTERM)

    with child.Runner(whole=True) as runner:
        thread = threading.Thread(target=stop)
        thread.start()
        # The shell in between does not hand the signal on.
        runner.run(["bash", "-c", 'trap : TERM; (bash -c "$1") & wait', "bash", script], os.environ)
        thread.join()
    assert runner.stopped
    for _ in range(100):
        if told.exists():
            break
        threading.Event().wait(0.05)
    assert told.read_text() == "child\n"


def test_a_program_has_the_signals_that_a_shell_gives_it():
    """Python ignores SIGPIPE; what it starts must not: `yes | head` would not end quietly."""
    with child.Runner() as runner:
        found = runner.run(["bash", "-c", "yes | head -1 >/dev/null; exit ${PIPESTATUS[0]}"], os.environ)
    assert found == 128 + child.signal.SIGPIPE
