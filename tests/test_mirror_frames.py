"""bin/mirror-frames against a real rsync daemon: what comes, what resumes, what is told, what is left alone."""

import fnmatch
import os
import re
import signal
import subprocess
import time

import pytest
from framemake import gps
from framemake.errors import BadInput
from framemake.host import mirror
from support.commands import BIN, ROOT, refused, run, well
from support.daemons import sshd, wait_until
from support.rsync import Server, kill_all, started_by

HOUR = "LHO/H-M-1148/H-M-1148000400-3600.gwf"


@pytest.fixture
def source(tmp_path):
    """A tree of frames at a server; what is in them is no matter here."""
    tree = tmp_path / "source"
    add(tree / "minute-trend" / HOUR, b"an hour")
    return tree


@pytest.fixture
def server(tmp_path, source):
    with Server(tmp_path / "server", {"ligo": source}) as running:
        yield running


@pytest.fixture
def frames(tmp_path):
    return tmp_path / "frames of $(touch owned) the 'site'"


def add(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def told(status, *args, **options):
    """What mirror-frames prints and says; it must end with this status, and say no more than a line a source."""
    got, out, said = run("mirror-frames", *args, **options)
    assert got == status, said
    assert "Traceback" not in said and all(line.startswith("mirror-frames: ") for line in said.splitlines())
    return out, said


def visible(tree):
    """{path in the tree: bytes} of the files that no dot hides."""
    files = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    return {str(path): (tree / path).read_bytes() for path in files if not any(p.startswith(".") for p in path.parts)}


def log_of(frames):
    (path,) = (frames / ".mirror-frames").glob("mirror-*.log")
    return path.read_text()


def received(frames):
    """Bytes that each run of rsync received, as its log has them."""
    return [int(n) for n in re.findall(r"received (\d+) bytes", log_of(frames))]


# --- what comes --------------------------------------------------------------------------


def test_it_prints_what_has_come_and_then_nothing(server, source, frames):
    password = ("--password-file", server.password)
    place = server.address("ligo/minute-trend")
    assert well("mirror-frames", *password, place, frames) == f"{frames}/minute-trend/{HOUR}\n"
    assert visible(frames) == visible(source)
    here, there = (tree / "minute-trend" / HOUR for tree in (frames, source))
    assert here.stat().st_mtime_ns == there.stat().st_mtime_ns
    assert well("mirror-frames", *password, place, frames) == ""
    # The tree grows, and a frame is replaced by a healed one.
    late = add(source / "minute-trend" / HOUR.replace("0400", "4000"), b"the next")
    there.write_bytes(b"an hour, whole")
    printed = well("mirror-frames", *password, place, frames)
    assert sorted(printed.splitlines()) == sorted(f"{frames}/{path.relative_to(source)}" for path in (there, late))
    assert visible(frames) == visible(source)
    assert not (ROOT / "owned").exists() and not os.path.exists("owned")


def test_a_source_that_ends_in_a_slash_goes_to_dest_itself(server, source, frames):
    well("mirror-frames", "--password-file", server.password, server.address("ligo/minute-trend/"), frames)
    assert (frames / HOUR).read_bytes() == b"an hour"


def test_sources_one_a_line_with_folders_and_options_of_their_own(server, source, frames, tmp_path):
    add(source / "trend of V" / "V-trend-1396742400-3600.gwf", b"V")
    secret = tmp_path / "a password"
    secret.touch(0o600)
    secret.write_text(server.password.read_text())
    lines = f"""# the site's sources
    {server.address("ligo/minute-trend")} password-file='{secret}'

    '{server.address("ligo/trend of V/")}' 'V1/the trend' password-file='{secret}' timeout=60  # Virgo
    """
    well("mirror-frames", "--sources", "-", frames, input=lines)
    assert set(visible(frames)) == {f"minute-trend/{HOUR}", "V1/the trend/V-trend-1396742400-3600.gwf"}


def test_a_local_folder_is_a_source_too(source, frames):
    well("mirror-frames", source / "minute-trend", frames)
    assert visible(frames) == visible(source)


def test_nothing_is_deleted_here_unless_asked(server, source, frames):
    gone = add(source / "minute-trend" / HOUR.replace("0400", "4000"), b"gone soon")
    mine = add(frames / "notes.txt", b"mine")
    call = ("--password-file", server.password, server.address("ligo/minute-trend"), frames)
    well("mirror-frames", *call)
    gone.unlink()
    well("mirror-frames", *call)
    assert (frames / gone.relative_to(source)).exists()
    well("mirror-frames", "--delete", *call)
    assert not (frames / gone.relative_to(source)).exists()
    assert mine.exists() and (frames / "minute-trend" / HOUR).exists() and log_of(frames)


def test_what_is_excluded_does_not_come(server, source, frames):
    add(source / "minute-trend" / "LLO" / "L-M-1148000400-3600.gwf", b"L")
    call = ("--password-file", server.password, "--exclude", "LLO/", server.address("ligo/minute-trend"), frames)
    well("mirror-frames", *call)
    assert set(visible(frames)) == {f"minute-trend/{HOUR}"}


@pytest.mark.parametrize("cutoff", [1148004000, 999999999, 1000000000, 1396742418])
def test_before_a_second_is_by_the_number_in_the_name(cutoff):
    """The patterns as a shell reads them, against the numbers."""
    patterns = mirror.before(cutoff)
    near = {cutoff + step for step in (-1_000_000_000, -86400, -3600, -10, -1, 0, 1, 9, 10, 3600, 10**6, 10**9)}
    for start in sorted(near | {5, 600000000, 925484670, 1147999999, 1384353755}):
        for name in (f"H-M-{start}-3600.gwf", f"V-trend-{start}-100.gwf"):
            if start >= 0:
                hit = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
                assert hit == (start < cutoff), name


def test_with_keep_days_old_frames_stay_where_they_are(source, frames):
    today = gps.day_window(time.strftime("%Y-%m-%d", time.gmtime())).start
    for start in (today, today - 2 * 86400, today - 2 * 86400 - 1):
        add(source / "minute-trend" / f"H-M-{start}-3600.gwf", b"x")
    well("mirror-frames", "--keep-days", "2", source / "minute-trend", frames)
    come = {f"minute-trend/H-M-{start}-3600.gwf" for start in (today, today - 2 * 86400)}
    assert set(visible(frames)) == come


# --- transfers that break ----------------------------------------------------------------


@pytest.fixture
def slow(server, source, frames):
    """A frame that takes seconds to come, and the mirror that brings it; yields (frame, call, start)."""
    frame = add(source / "minute-trend" / HOUR, os.urandom(12_000_000))
    call = ["--password-file", server.password, server.address("ligo/minute-trend"), frames]
    started = []

    def start():
        command = [BIN / "mirror-frames", "--bwlimit", "3000", *call]
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        wait_until(lambda: coming(frames) > 3_000_000, "a frame that is half here")
        assert visible(frames) == {}
        return process

    yield frame, call, start
    for process in started:
        kill_all(process, frames)
        process.communicate()


def coming(frames):
    """Bytes that are here of frames that are not whole."""
    return sum(path.stat().st_size for path in frames.rglob(".H-*.gwf.*") if path.is_file())


def resumed(frames, frame, call):
    """The next mirror ends what was begun, and reads less than the whole of it; nothing half is left."""
    well("mirror-frames", *call)
    assert visible(frames) == {f"minute-trend/{HOUR}": frame.read_bytes()}
    assert received(frames)[-1] < 10_000_000
    left = [path for path in frames.rglob("*") if path.name.startswith(".") and path.name != ".mirror-frames"]
    assert left == [] and not (frames / ".mirror-frames" / "running").exists()
    umask = os.umask(0)
    os.umask(umask)
    assert (frames / "minute-trend" / HOUR).stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_mirror_that_is_told_to_end_is_resumed(slow, frames):
    frame, call, start = slow
    process = start()
    process.terminate()
    out, said = process.communicate()
    assert (process.returncode, out, said) == (128 + signal.SIGTERM, b"", b"")
    assert visible(frames) == {} and started_by(process, frames) == []
    resumed(frames, frame, call)


def test_a_mirror_that_is_told_to_end_with_all_of_its_group_is_resumed(slow, frames):
    """As a time limit or Ctrl-C tells it."""
    frame, call, start = slow
    process = start()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert visible(frames) == {} and started_by(process, frames) == []
    resumed(frames, frame, call)


def test_a_mirror_that_is_killed_is_resumed(slow, frames):
    frame, call, start = slow
    kill_all(start(), frames)
    assert visible(frames) == {}
    resumed(frames, frame, call)


def test_a_server_that_goes_in_the_middle_is_away_and_then_resumed(slow, server, frames):
    frame, call, start = slow
    process = start()
    # The process that serves this transfer: a child of the daemon, of its own session.
    server.stop()
    for pid in subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True).stdout.splitlines():
        number, _, args = pid.strip().partition(" ")
        if f"--port {server.port} " in f"{args} " and "--daemon" in args:
            os.kill(int(number), signal.SIGKILL)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, b"")
    assert b"the source is away, the connection broke (rsync 12: " in said and said.count(b"\n") == 1
    assert visible(frames) == {}
    server.start()
    resumed(frames, frame, call)


def test_one_mirror_at_a_time_works_on_a_tree(slow, frames):
    frame, call, start = slow
    process = start()
    assert "another mirror is at work there: " in refused("mirror-frames", *call)
    os.kill(process.pid, signal.SIGKILL)
    # rsync goes on, and holds the lock: a third waits for it where it is asked to.
    assert "another mirror is at work there: " in refused("mirror-frames", *call)
    well("mirror-frames", "--wait", *call)
    assert visible(frames) == {f"minute-trend/{HOUR}": frame.read_bytes()}


# --- what is told ------------------------------------------------------------------------


def test_a_source_that_is_away_is_told_and_the_others_go_on(server, frames, tmp_path):
    away = Server(tmp_path / "away", {"ligo": tmp_path}).address("ligo/second-trend")
    call = ("--password-file", server.password, away, server.address("ligo/minute-trend"), frames)
    out, said = told(3, *call)
    assert out == f"{frames}/minute-trend/{HOUR}\n"
    assert said.count("\n") == 1 and f": {away!r}\n" in said
    assert "the source is away, the connection failed (rsync 10: " in said and "Connection refused" in said
    (log,) = (frames / ".mirror-frames").glob("mirror-*second-trend.log")
    assert "the source is away" in log.read_text()


@pytest.mark.slow
def test_a_server_that_does_not_speak_is_away(frames):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = f"rsync://127.0.0.1:{silent.getsockname()[1]}/ligo"
        begun = time.monotonic()
        assert "the source is away, " in told(3, "--timeout", "2", place, frames)[1]
        assert time.monotonic() - begun < 30


def test_a_wrong_password_is_a_refusal_and_the_others_go_on(server, source, frames, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("guess\n")
    place = server.address("ligo/minute-trend")
    lines = f"{place} password-file={wrong}\n{source}/minute-trend\n"
    out, said = told(1, "--sources", "-", frames, input=lines)
    assert out and said.count("\n") == 1
    refused = f"the source refuses us (rsync 5: @ERROR: auth failed on module ligo): {place!r}"
    assert f"{refused}, password file {str(wrong)!r}\n" in said
    wrong.chmod(0o644)
    said = told(1, "--password-file", wrong, place, frames)[1]
    assert "password file must not be other-accessible" in said and f"password file {str(wrong)!r}\n" in said
    assert (
        f"password file {str(tmp_path / 'none')!r}\n" in told(1, "--password-file", tmp_path / "none", place, frames)[1]
    )
    assert "guess" not in said


def test_a_full_disk_says_so_and_not_half_a_line_of_rsync():
    """Long paths came first, and the reason was cut off."""
    path = "/data/" + "long-folder/" * 40 + "H-M-1148000400-3600.gwf"
    for status, said in (
        (11, f'rsync: [receiver] write failed on "{path}": No space left on device (28)\nrsync error: in file IO\n'),
        (23, f'rsync: [receiver] mkstemp "{path}" failed: Disk quota exceeded (122)\n'),
    ):
        found = mirror.outcome_of("host::ligo", status, said, "/data")
        assert found[:2] == (mirror.Result.FAILED, "disk full, not all came from 'host::ligo': '/data'")
    found = mirror.outcome_of("host::ligo", 23, f'rsync: [receiver] mkstemp "{path}" failed: Permission denied (13)\n')
    assert found.result is mirror.Result.MISSING and "failed: Permission denied (13)): 'host::ligo'" in found.message
    assert len(found.message) < 450


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted by root")
def test_a_disk_that_is_full_when_frames_come_says_so(source, frames):
    add(source / "minute-trend" / HOUR.replace("0400", "4000"), b"x" * 1_000_000)
    frames.mkdir()
    own = 'mount -t tmpfs -o size=300k none "$0" && exec "$@"'
    call = ["unshare", "--mount", "--propagation", "private", "sh", "-c", own, frames, BIN / "mirror-frames"]
    done = subprocess.run([*call, source / "minute-trend", frames], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no mount namespace can be made")
    assert done.returncode == 1
    assert done.stderr == f"mirror-frames: disk full, not all came from '{source}/minute-trend': '{frames}'\n" or (
        "disk full" in done.stderr and done.stderr.count("\n") == 1
    )


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_source_that_is_empty_all_at_once_deletes_nothing(server, source, frames, slash):
    """A disk that was not mounted at the server had all frames deleted here."""
    other = add(source / "minute-trend" / HOUR.replace("0400", "4000"), b"the next")
    call = ("--delete", "--password-file", server.password, server.address(f"ligo/minute-trend{slash}"), frames)
    told(0, *call)
    before = visible(frames)
    assert len(before) == 2
    (source / "minute-trend").rename(source / "away")
    (source / "minute-trend").mkdir()
    for _ in range(2):
        out, said = told(3, *call)
        assert out == "" and "no frame is left at the source, is its disk there? None is deleted: " in said
        assert visible(frames) == before
    # One that is gone alone is deleted here as well.
    (source / "minute-trend").rmdir()
    (source / "away").rename(source / "minute-trend")
    other.unlink()
    told(0, *call)
    assert len(visible(frames)) == 1


def test_a_part_that_does_not_come_is_missing_data(server, frames):
    call = ("--password-file", server.password, server.address("ligo/nothing"), server.address("ligo/minute-trend"))
    out, said = told(3, *call, frames)
    assert out and "some files did not come (" in said and "rsync 23: " in said and "ligo/nothing" in said


def test_files_that_vanish_meanwhile_are_told_and_no_fault(tmp_path, frames):
    """Exit 24 of a stand-in for rsync: a real one vanishes a file only by chance."""
    fake = tmp_path / "fake" / "rsync"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\necho 'file has vanished: \"/x/H.gwf\" (in ligo)' >&2\n"
        'echo "rsync warning: some files vanished before they could be sent (code 24) at main.c(1)" >&2\nexit 24\n'
    )
    fake.chmod(0o755)
    env = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    _, said = told(0, "rsync://host/ligo", frames, env=env)
    assert said == "mirror-frames: 1 file(s) vanished at the source, the rest came: 'rsync://host/ligo'\n"
    assert not (frames / ".mirror-frames" / "running").exists()


def test_without_rsync_it_says_so(frames, tmp_path):
    (tmp_path / "empty").mkdir()
    env = {"PATH": f"{tmp_path / 'empty'}"}
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("no environment beside the Makefile")
    done = subprocess.run(
        [python, BIN / "mirror-frames", "rsync://host/ligo", frames],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "mirror-frames: a program is not installed: 'rsync'\n")


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("rsync://h/m a b\n", "not a source, want SOURCE"),
        ("rsync://h/m colour=blue\n", "not a source, want SOURCE"),
        ("rsync://h/m 'open\n", "not a source, no closing quotation"),
        ("rsync://h/m ../out\n", "not a folder below the mirror: '../out'"),
        ("rsync://h/m /etc\n", "not a folder below the mirror: '/etc'"),
        ("--rsh=sh\n", "not a source: '--rsh=sh'"),
        ("# none\n", "no source is given"),
    ],
)
def test_a_list_that_is_none_is_refused(lines, words, frames):
    assert words in refused("mirror-frames", "--sources", "-", frames, input=lines)
    assert not frames.exists()


def test_it_mirrors_to_a_local_folder_only():
    for place in ("host:frames", "rsync://host/frames"):
        assert "not a local folder" in refused("mirror-frames", "rsync://h/m", place)


def test_delete_is_refused_where_sources_share_a_folder():
    shared = [mirror.Origin("rsync://a/m/", "x"), mirror.Origin("rsync://b/m", "x")]
    mirror.check(shared, "frames")
    with pytest.raises(BadInput, match="would remove what another source gives"):
        mirror.check(shared, "frames", delete=True)
    mirror.check([mirror.Origin("rsync://a/m/", "x"), mirror.Origin("rsync://b/m/", "y")], "frames", delete=True)
    with pytest.raises(BadInput):
        mirror.check([mirror.Origin("rsync://a/m/"), mirror.Origin("rsync://b/m/", "y")], "frames", delete=True)


def test_no_shell_reads_a_name_or_an_address(tmp_path, frames, monkeypatch):
    """The remote side of ssh is given to --rsh as words; here a stand-in for ssh writes them down."""
    monkeypatch.chdir(tmp_path)
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"$0.words"\nexit 255\n')
    ssh.chmod(0o755)
    place = "host:/data/$(touch owned) `touch owned`; touch owned"
    assert "the source is away, " in told(3, "--rsh", ssh, place, frames)[1]
    assert "touch" not in (tmp_path / "ssh.words").read_text(), "it is sent when ssh is there, past the remote shell"
    assert not (tmp_path / "owned").exists()


def test_a_folder_comes_by_ssh_whatever_its_name(tmp_path, source, frames):
    (tmp_path / "ssh").mkdir()
    odd = source.rename(tmp_path / "source $(touch owned); 'quoted'")
    with sshd(tmp_path / "ssh", ["gwnode1"], dead=["gwnode2"]) as part:
        rsh = f"ssh -F {part.config}"
        out, said = told(3, "--rsh", rsh, "gwnode2:/x", f"gwnode1:{odd}/minute-trend", frames)
        assert "the source is away, " in said and said.endswith(": 'gwnode2:/x'\n")
        assert out == f"{frames}/minute-trend/{HOUR}\n" and visible(frames) == visible(odd)
        assert part.logins() == 1


# --- logs --------------------------------------------------------------------------------


def test_a_log_a_source_which_does_not_grow_for_ever(server, source, frames, tmp_path):
    logs = tmp_path / "logs"
    call = ("--logs", logs, "--password-file", server.password, source / "minute-trend", server.address("ligo"))
    well("mirror-frames", *call, frames)
    named = sorted(logs.iterdir())
    assert len(named) == 2 and all(path.read_text().endswith("Z done\n") for path in named)
    assert sum(HOUR in path.read_text() for path in named) == 1
    with named[0].open("ab") as log:
        log.truncate(11_000_000)
    well("mirror-frames", *call, frames)
    assert len(list(logs.iterdir())) == 3 and named[0].stat().st_size < 10_000
