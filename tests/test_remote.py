"""Frames that are elsewhere: from a real HTTPS server, one that is slow, breaks off, refuses, lies or is away."""

import base64
import email.utils
import hashlib
import json
import os
import re
import shutil
import signal as signals
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from framemake import gwf
from framemake.day import reader
from framemake.errors import BadInput
from framemake.frames import cache, catalog, fetch, remote, session
from framemake.frames.cache import Cache, Wanted
from support import processes
from support.commands import BIN, DAY, ROOT, START, frame_file, needs, needs_package, refused, run, stub, well
from support.disks import small_disk
from support.elsewhere import Elsewhere, certificate, cut, held, sent, slow, stall, status
from support.sites import Signal, Site, signal

NAME = f"V-trend-{START}-100.gwf"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def elsewhere(tmp_path, both, monkeypatch):
    """A server of the files in tmp_path/far, which this process trusts; pauses are short."""
    (tmp_path / "far").mkdir()
    for name in ("BEARER_TOKEN", "BEARER_TOKEN_FILE", "_CONDOR_CREDS", "FRAME_CACHE_LIMIT", "FRAME_CACHE_KEEP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(remote, "PAUSE", 0.01)
    monkeypatch.setattr(session, "_clients", {})
    with Elsewhere(tmp_path / "far", both, tmp_path / "cache") as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


def large(server, name=NAME, size=300_000):
    """A file of made-up bytes, and its content."""
    content = np.random.default_rng(size).bytes(size)
    path = server.folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)
    os.utime(path, (1.7e9, 1.7e9))
    return path, content


def copied(server, url, limit=cache.LIMIT, retries=0):
    with Cache(server.cache, limit).holding(Wanted(url), retries) as path, open(path, "rb") as file:
        return file.read()


def begins(server):
    """Where each request for what is in a file begins."""
    return [int(span.removeprefix("bytes=").split("-")[0]) if span else 0 for _, span in server.gets()]


# --- one file -----------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_is_what_the_server_has(elsewhere):
    path, content = large(elsewhere)
    assert copied(elsewhere, elsewhere.of(path)) == copied(elsewhere, elsewhere.of(path)) == content
    assert elsewhere.gets() == [(f"/{NAME}", "")]
    assert held(elsewhere.cache) == [NAME]
    told = fetch.ask([elsewhere.of(path), elsewhere.of(path) + "x"], [])
    assert told[elsewhere.of(path)][:2] == (300_000, 1_700_000_000 * 10**9) and told[elsewhere.of(path) + "x"] is None


@pytest.mark.parametrize("etags", [True, False])
def test_what_breaks_off_goes_on_where_it_was(elsewhere, etags):
    elsewhere.etags = etags
    path, content = large(elsewhere)
    elsewhere.before[f"/{NAME}"] = [cut(200_000), cut(80_000)]
    assert copied(elsewhere, elsewhere.of(path)) == content
    first, second, third = begins(elsewhere)
    assert first == 0 and 65_536 <= second < third < 300_000


def test_a_file_that_changes_between_two_parts_is_not_glued_together(elsewhere):
    path, content = large(elsewhere)

    def cut_and_changed(handler, piece):
        path.write_bytes(content[::-1])
        cut(200_000)(handler, piece)

    elsewhere.before[f"/{NAME}"] = [cut_and_changed]
    # What it had when it was listed counts where that is known.
    assert copied(elsewhere, elsewhere.of(path)) == content[::-1]
    assert begins(elsewhere)[0] == 0 and begins(elsewhere)[1] > 0


def test_a_file_that_was_replaced_by_one_of_its_size_is_not_taken_for_the_one_that_is_known(elsewhere):
    path, content = large(elsewhere)
    url, known = elsewhere.of(path), 1_700_000_000 * 10**9
    fetched = Cache(elsewhere.cache)
    for _ in range(2):
        with fetched.holding(Wanted(url, len(content), known), 0):
            pass
    # What is here is not asked for.
    assert elsewhere.asked == [("GET", f"/{NAME}", "")]
    path.write_bytes(content[::-1])
    os.utime(path, (1.7e9 + 3600, 1.7e9 + 3600))
    fetched.let_go([Wanted(url, len(content), known)])
    words = "^has changed since it was listed, it was of 2023-11-14T22:13:20Z and is of 2023-11-14T23:13:20Z$"
    with pytest.raises(remote.Refused) as error, fetched.holding(Wanted(url, len(content), known), 0):
        pass
    assert re.search(words, error.value.strerror) and held(elsewhere.cache) == []
    for unknown in (0, known + 3600 * 10**9):
        with fetched.holding(Wanted(url, len(content), unknown), 0) as copy:
            assert Path(copy).read_bytes() == content[::-1]


def test_replicas_whose_times_differ_are_one_file(elsewhere):
    """The one that gives the file is not the one that was asked for its time."""
    path, content = large(elsewhere)
    late = email.utils.formatdate(1.7e9 + 60, usegmt=True)
    elsewhere.told = lambda method: {"Last-Modified": late} if method == "GET" else {}
    wanted = Wanted(elsewhere.of(path), len(content), 1_700_000_000 * 10**9)
    with Cache(elsewhere.cache).holding(wanted, 0) as copy:
        assert Path(copy).read_bytes() == content


def test_a_server_without_ranges_or_without_a_word_on_what_it_sends(elsewhere):
    path, content = large(elsewhere)
    elsewhere.etags = False
    elsewhere.told = {"Last-Modified": None}
    elsewhere.before[f"/{NAME}"] = [cut(200_000)]
    assert copied(elsewhere, elsewhere.of(path)) == content
    assert begins(elsewhere) == [0, 0]


def test_a_file_that_came_whole_before_a_kill_is_looked_at_and_kept(elsewhere):
    path, content = large(elsewhere)
    place = cache._Place(str(elsewhere.cache), Wanted(elsewhere.of(path)))
    os.makedirs(place.folder)
    fetch.fetch(elsewhere.of(path), place.part, place.about, lambda size: None)
    assert copied(elsewhere, elsewhere.of(path)) == content
    assert begins(elsewhere) == [0, 299_999]


@pytest.mark.parametrize(
    ("header", "name"),
    [("Repr-Digest", "sha-256"), ("Digest", "SHA-256"), ("Digest", "MD5"), ("Digest", "adler32"), ("Content-MD5", "")],
)
def test_a_checksum_that_the_server_tells_is_held_against_the_file(elsewhere, header, name):
    path, content = large(elsewhere)

    def told(what):
        raw = {"": hashlib.md5, "md5": hashlib.md5, "sha-256": hashlib.sha256}
        if name == "adler32":
            return f"adler32={zlib.adler32(what):08x}"
        text = base64.b64encode(raw[name.lower()](what).digest()).decode()
        return f"{name}=:{text}:" if header == "Repr-Digest" else f"{name}={text}" if name else text

    elsewhere.told = {header: told(content + b"x")}
    with pytest.raises(remote.Away, match="its checksum is not the one that the server tells"):
        copied(elsewhere, elsewhere.of(path))
    assert held(elsewhere.cache) == []
    elsewhere.told = {header: told(content)}
    assert copied(elsewhere, elsewhere.of(path)) == content


def test_an_answer_that_is_shorter_than_it_says_is_no_file(elsewhere):
    path, _ = large(elsewhere)
    elsewhere.before[f"/{NAME}"] = [cut(1000), cut(1000)]
    with pytest.raises(remote.Away, match="the connection broke"):
        copied(elsewhere, elsewhere.of(path))
    assert held(elsewhere.cache) == []


def test_a_server_that_sends_nothing_more_is_not_waited_for_for_ever(elsewhere, monkeypatch):
    monkeypatch.setattr(session, "_STALLED", 0.3)
    path, content = large(elsewhere)
    over = threading.Event()
    elsewhere.before[f"/{NAME}"] = [stall(1000, over)]
    with pytest.raises(remote.Away, match=r"nothing came for 0\.3 s"):
        copied(elsewhere, elsewhere.of(path))
    elsewhere.before[f"/{NAME}"] = [slow(0.1)]
    assert copied(elsewhere, elsewhere.of(path)) == content
    over.set()


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (404, remote.Absent, "the server says 404 Not Found"),
        (503, remote.Away, "the server says 503 Service Unavailable"),
        (429, remote.Away, "the server says 429 Too Many Requests"),
        (403, remote.Refused, "the server says 403 Forbidden, it wants a token, none is found"),
        (400, remote.Refused, "the server says 400 Bad Request"),
    ],
)
def test_what_a_server_says_in_place_of_a_file(elsewhere, code, error, words):
    path, _ = large(elsewhere)
    elsewhere.before[f"/{NAME}"] = [status(code, Retry_After="7")]
    with pytest.raises(error) as raised:
        copied(elsewhere, elsewhere.of(path))
    assert type(raised.value) is error and raised.value.strerror == words
    assert error is not remote.Away or raised.value.after == 7


def test_a_server_that_is_away_and_one_that_speaks_no_https(elsewhere, tmp_path):
    with Elsewhere(tmp_path, None) as plain, pytest.raises(remote.Away, match="it speaks no https"):
        copied(elsewhere, plain.url.replace("http:", "https:") + f"/{NAME}")
    with pytest.raises(remote.Away, match="connection refused") as raised:
        copied(elsewhere, plain.url + f"/{NAME}")
    assert raised.value.server == plain.url
    with pytest.raises(BadInput, match="no answer about any frame, connection refused: 'http"):
        fetch.ask([f"{plain.url}/{NAME}"], [])


@pytest.mark.parametrize(("names", "why"), [("DNS:elsewhere.example", "mismatch"), (None, "self-signed certificate")])
def test_a_certificate_that_is_not_good_is_one_line_and_no_retry(elsewhere, tmp_path, monkeypatch, names, why):
    folder = tmp_path / "other"
    folder.mkdir()
    other = certificate(folder, names or "IP:127.0.0.1")
    if names:
        monkeypatch.setenv("SSL_CERT_FILE", str(other))
    with Elsewhere(tmp_path, other) as server:
        (tmp_path / "t.ffl").write_text(f"{server.url}/{NAME} {START} 100 0 0\n{server.url}/x {START + 100} 100 0 0\n")
        said = refused("list-frames", tmp_path / "t.ffl", "--table")
        assert said.startswith("list-frames: the server's certificate is not good, ") and why in said
        assert said.endswith(f": '{server.url}'\n") and server.asked == []


# --- tokens -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["BEARER_TOKEN", "BEARER_TOKEN_FILE", "_CONDOR_CREDS", "XDG_RUNTIME_DIR"])
def test_a_token_goes_to_the_server_that_wants_one_and_is_not_told(elsewhere, tmp_path, monkeypatch, where):
    path, content = large(elsewhere)
    open_to_all, _ = large(elsewhere, "open.gwf")
    copied(elsewhere, elsewhere.of(open_to_all))
    elsewhere.token = "made-up.token"
    (tmp_path / "creds").mkdir()
    files = {
        "BEARER_TOKEN_FILE": tmp_path / "token",
        "_CONDOR_CREDS": tmp_path / "creds" / "igwn.use",
        "XDG_RUNTIME_DIR": tmp_path / f"bt_u{os.geteuid()}",
    }
    if where == "BEARER_TOKEN":
        monkeypatch.setenv(where, elsewhere.token)
    else:
        files[where].write_text(f"{elsewhere.token}\n")
        monkeypatch.setenv(where, str(files[where] if where == "BEARER_TOKEN_FILE" else files[where].parent))
    assert copied(elsewhere, elsewhere.of(path)) == content
    assert elsewhere.tokens == ["", "", f"Bearer {elsewhere.token}"]
    elsewhere.token = "another"
    with pytest.raises(remote.Refused) as raised:
        copied(elsewhere, elsewhere.of(path) + "?more")
    assert raised.value.strerror == "the server says 403 Forbidden, though it got a token"


def test_a_token_never_goes_over_plain_http(elsewhere, tmp_path, monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN", "made-up.token")
    with Elsewhere(elsewhere.folder, None) as plain:
        plain.token = "made-up.token"
        path, _ = large(plain)
        with pytest.raises(remote.Refused, match="403"):
            copied(elsewhere, plain.of(path))
        assert plain.tokens == [""]


def test_a_token_does_not_follow_to_another_server(elsewhere, both, monkeypatch):
    monkeypatch.setenv("BEARER_TOKEN", "made-up.token")
    path, content = large(elsewhere)
    with Elsewhere(elsewhere.folder, both) as first:
        first.token = "made-up.token"
        first.before[f"/{NAME}"] = [status(307, Location=elsewhere.of(path))]
        assert copied(elsewhere, first.of(path)) == content
        assert first.tokens == ["", "Bearer made-up.token"] and elsewhere.tokens == [""]


@pytest.mark.parametrize("token", ["two\nlines: x", "a b", "caf\u00e9"])
def test_what_is_no_token_is_none(elsewhere, monkeypatch, token):
    monkeypatch.setenv("BEARER_TOKEN", token)
    assert session._token() == ""


def test_a_url_with_a_password_is_refused_and_the_password_is_not_told(tmp_path):
    (tmp_path / "t.ffl").write_text(f"https://me:secret@host/{NAME} {START} 100 0 0\n")
    said = refused("list-frames", tmp_path / "t.ffl")
    assert said == "list-frames: a URL with a name or password is not taken: 'host/" + f"{NAME}'\n"


# --- the cache ----------------------------------------------------------------------------


ODD = [
    "a b'c\"d.gwf",
    "sp%20ace.gwf",
    "%2Fetc%2Fpasswd",
    "x/../../y.gwf",
    ".hidden",
    "lock",
    "part.json",
    "é#?.gwf",
    "-",
]


@pytest.mark.parametrize("name", ODD)
def test_whatever_a_url_holds_the_copy_lies_in_the_cache(elsewhere, name):
    """What the server is asked for is the URL, quoted where it must be; a ? begins a query, as in each URL."""
    asked = []
    elsewhere.answer = lambda handler, body: (asked.append(handler.path), status(404)(handler))
    url = f"{elsewhere.url}/{name}"
    with pytest.raises(remote.Absent):
        copied(elsewhere, url)
    assert asked == [remote.quoted(url).removeprefix(elsewhere.url)] and " " not in asked[0] and "#" not in asked[0]
    assert "%25" not in asked[0] or "%" not in name
    place = cache._Place(str(elsewhere.cache), Wanted(url))
    assert os.path.dirname(os.path.dirname(place.path)) == str(elsewhere.cache)
    assert place.path.endswith(".gwf") and set(os.path.basename(place.path)) <= set("abcdefghijklmnopqrstuvwxyz20F%._-")


def test_the_cache_keeps_its_limit_and_what_was_used_longest_ago_goes(elsewhere):
    paths = [large(elsewhere, f"{number}.gwf")[0] for number in range(4)]
    for path in (*paths[:3], paths[0]):
        copied(elsewhere, elsewhere.of(path), limit=1_000_000)
        time.sleep(0.02)
    copied(elsewhere, elsewhere.of(paths[3]), limit=1_000_000)
    assert held(elsewhere.cache) == ["0.gwf", "2.gwf", "3.gwf"]
    assert len([each for each in os.scandir(elsewhere.cache) if each.is_dir()]) == 3


def test_what_is_in_use_stays_and_who_wants_room_waits_for_it(elsewhere):
    paths = [large(elsewhere, f"{number}.gwf")[0] for number in range(2)]
    store, begun = Cache(elsewhere.cache, 400_000), []
    first = store.copy(Wanted(elsewhere.of(paths[0])))

    def fetch():
        store.copy(Wanted(elsewhere.of(paths[1])), lambda: begun.append(1)).close()

    thread = threading.Thread(target=fetch)
    thread.start()
    while not begun:
        time.sleep(0.01)
    assert os.path.exists(first.path) and held(elsewhere.cache) == ["0.gwf"]
    first.close()
    thread.join(20)
    assert held(elsewhere.cache) == ["1.gwf"]


def test_a_file_larger_than_the_limit_is_told(elsewhere):
    path, _ = large(elsewhere)
    with pytest.raises(remote.Refused, match="has 300000 bytes, more than FRAME_CACHE_LIMIT, 100000"):
        copied(elsewhere, elsewhere.of(path), limit=100_000)
    assert not any(each.stat().st_size for each in elsewhere.cache.rglob("part*"))


def test_what_is_fetched_ahead_takes_no_room_of_what_is_not_read_yet(elsewhere):
    paths = [large(elsewhere, f"{number}.gwf")[0] for number in range(4)]
    store = Cache(elsewhere.cache, 700_000)
    store.copy(Wanted(elsewhere.of(paths[0]))).close()
    store.fetch_ahead(Wanted(elsewhere.of(path)) for path in paths[1:])
    ended = time.monotonic() + 20
    while len(held(elsewhere.cache)) < 2 or "0.gwf" in held(elsewhere.cache):
        assert time.monotonic() < ended
        time.sleep(0.01)
    # Two have room; neither goes for the third, which is fetched when it is wanted.
    time.sleep(0.1)
    assert len(held(elsewhere.cache)) == 2 and "0.gwf" not in held(elsewhere.cache)
    for path in paths[1:]:
        store.copy(Wanted(elsewhere.of(path))).close()
    assert len(elsewhere.gets(paths[1])) + len(elsewhere.gets(paths[2])) + len(elsewhere.gets(paths[3])) <= 5


def test_while_a_file_is_read_the_next_few_come(elsewhere, tmp_path):
    paths = [large(elsewhere, f"{number}.gwf")[0] for number in range(8)]
    frames = [catalog.Frame(elsewhere.of(path), START + at, 1, 300_000) for at, path in enumerate(paths)]
    real = frame_file(tmp_path, START, 1, signal(count=1))
    paths[0].write_bytes(real.read_bytes())
    frames[0] = frames[0]._replace(size=real.stat().st_size)
    files = reader.Reader(0, 10, frames, frames)
    files.open(frames[0].path)
    ended = time.monotonic() + 20
    while len(held(elsewhere.cache)) < 1 + cache.AHEAD:
        assert time.monotonic() < ended
        time.sleep(0.01)
    time.sleep(0.1)
    assert held(elsewhere.cache) == [f"{number}.gwf" for number in range(1 + cache.AHEAD)]
    files.close()


def test_a_copy_in_which_a_channel_is_damaged_is_not_used_again(elsewhere, tmp_path):
    path = frame_file(elsewhere.folder, START, 4000, signal(count=4000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255  # of the samples, which come before the table of contents
    path.write_bytes(content)
    frame = catalog.Frame(elsewhere.of(path), START, 4000, len(content))
    files = reader.Reader(0, 10, [frame], [frame])
    file = files.open(frame.path)
    with pytest.raises(gwf.BadFrame, match="damaged"):
        files.read(frame.path, file, 0, "V1:A", file.kinds["V1:A"])
    assert len(held(elsewhere.cache)) == 1
    files.close()
    assert held(elsewhere.cache) == []


def test_of_a_server_that_gives_none_of_several_files_no_more_is_waited_for(elsewhere, monkeypatch):
    monkeypatch.setattr(reader, "_MANY", 3)
    paths = [large(elsewhere, f"{number}.gwf")[0] for number in range(8)]
    elsewhere.before = {f"/{path.name}": [status(503)] * 9 for path in paths}
    frames = [catalog.Frame(elsewhere.of(path), START + at, 1) for at, path in enumerate(paths)]
    files = reader.Reader(1, 10, frames)
    for frame in frames:
        with pytest.raises(gwf.Unreadable, match="the server says 503 Service Unavailable"):
            files.open(frame.path)
    assert len(elsewhere.asked) == 6


def test_what_else_is_in_the_folder_is_left_alone(elsewhere):
    paths = [large(elsewhere, f"{number}.gwf")[0] for number in range(3)]
    mine = elsewhere.cache / "precious" / "data.gwf"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(bytes(500_000))
    (elsewhere.cache / "lock").write_text("mine")
    for path in paths:
        copied(elsewhere, elsewhere.of(path), limit=400_000)
    assert mine.stat().st_size == 500_000 and (elsewhere.cache / "lock").read_text() == "mine"
    assert held(elsewhere.cache) == ["2.gwf", "data.gwf"]


@pytest.mark.parametrize("url", ["https://", "https://host:port/x.gwf", "https://[::1/x.gwf", "http:///x"])
def test_what_is_no_url_of_a_file_is_told(elsewhere, url):
    with pytest.raises((remote.Refused, remote.Away)) as raised:
        copied(elsewhere, url)
    assert raised.value.strerror


@pytest.mark.slow
def test_a_disk_smaller_than_the_limit_loses_what_was_used_longest_ago_and_one_that_is_full_is_told(
    elsewhere, tmp_path
):
    paths = [large(elsewhere, f"{number}.gwf")[0] for number in range(3)]
    with small_disk(tmp_path / "disk", 900_000) as disk:
        elsewhere.cache = disk.folder / "cache"
        for path in paths:
            assert len(copied(elsewhere, elsewhere.of(path))) == 300_000
        assert held(elsewhere.cache) == ["1.gwf", "2.gwf"]
        for folder in elsewhere.cache.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder)
        disk.leave(20)
        with pytest.raises(BadInput, match=r"disk full, FRAME_CACHE names another folder: '.*/cache'"):
            copied(elsewhere, elsewhere.of(paths[0]))
        disk.clear()
        assert len(copied(elsewhere, elsewhere.of(paths[0]))) == 300_000


def test_a_cache_that_cannot_be_written_to_is_one_line(elsewhere, tmp_path):
    path, _ = large(elsewhere)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"the cache of frames cannot be used, .*: '.*/file/cache'"):
        Cache(tmp_path / "file" / "cache").copy(Wanted(elsewhere.of(path)))


FETCH = (
    "import sys; sys.path.insert(0, sys.argv[1]); from framemake.frames.cache import *; "
    "copy = Cache(sys.argv[2]).copy(Wanted(sys.argv[3])); print(len(open(copy.path, 'rb').read()))"
)


def fetching(server, path):
    """A process that fetches a file."""
    words = [sys.executable, "-c", FETCH, BIN.parent / "lib", server.cache, server.of(path)]
    return subprocess.Popen(words, env={**os.environ, **server.env}, stdout=subprocess.PIPE, text=True)


def test_two_processes_that_want_a_file_fetch_it_once(elsewhere):
    path, _ = large(elsewhere)
    go = threading.Event()
    elsewhere.before[f"/{NAME}"] = [sent(go)]
    first = fetching(elsewhere, path)
    while not elsewhere.gets():
        time.sleep(0.01)
    second = fetching(elsewhere, path)
    time.sleep(0.5)
    go.set()
    assert [process.communicate(timeout=60)[0] for process in (first, second)] == ["300000\n"] * 2
    assert begins(elsewhere) == [0]


def test_a_fetch_that_is_killed_is_gone_on_with(elsewhere):
    path, content = large(elsewhere, size=4 << 20)
    over = threading.Event()
    elsewhere.before[f"/{NAME}"] = [stall(3 << 20, over)]
    process = fetching(elsewhere, path)
    parts = lambda: [each for each in elsewhere.cache.rglob("part") if each.stat().st_size >= 1 << 20]  # noqa: E731
    while not parts():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signals.SIGKILL)
    process.wait()
    over.set()
    assert copied(elsewhere, elsewhere.of(path)) == content
    assert begins(elsewhere)[1] >= 1 << 20


@pytest.mark.parametrize("text", ["20", "20 G", "-1G", "1E", "G"])
def test_a_size_that_is_none_is_refused(text, monkeypatch):
    if text == "20":
        assert [cache.bytes_of(each) for each in ("20", "1k", "1.5M", "2GB")] == [20, 1000, 1_500_000, 2 * 10**9]
        return
    monkeypatch.setenv("FRAME_CACHE_LIMIT", text)
    with pytest.raises(BadInput, match="FRAME_CACHE_LIMIT must be a size"):
        Cache.of_environment()


# --- lists --------------------------------------------------------------------------------


def test_a_list_may_hold_urls_of_all_kinds_and_they_stay_what_they_are(tmp_path):
    (tmp_path / "t.lcf").write_text(
        f"V trend {START} 100 osdf:///igwn/V-trend-{START}-100.gwf\n"
        f"https://host/a%2Fb/V-trend-{START + 100}-100.gwf?x=1\n"
        f"pelican://host/V-trend-{START + 200}-100.gwf {START + 200} 100\n"
        f"file://localhost{stub(tmp_path, START + 300)}\n"
    )
    listed = [line.split(" ")[0] for line in well("list-frames", tmp_path / "t.lcf").splitlines()]
    assert listed == [
        f"osdf:///igwn/V-trend-{START}-100.gwf", f"https://host/a%2Fb/V-trend-{START + 100}-100.gwf?x=1",
        f"pelican://host/V-trend-{START + 200}-100.gwf", f"{tmp_path}/V-trend-{START + 300}-100.gwf",
    ]  # fmt: skip


def test_a_list_without_urls_is_read_without_the_client(tmp_path):
    (tmp_path / "t.ffl").write_text(f"{stub(tmp_path)} {START} 100 0 0\n")
    code = (
        "import sys; from framemake.frames import lists; "
        "lists.list_frames(sys.argv[1], ask=True); sys.exit(bool({'fsspec', 'asyncio', 'ssl'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(BIN.parent / "lib")}
    assert (
        subprocess.run([sys.executable, "-c", code, tmp_path / "t.ffl"], env=environment, check=False).returncode == 0
    )


def test_servers_are_asked_for_a_table_and_not_again_for_what_it_has(elsewhere, tmp_path):
    there, _ = large(elsewhere)
    (tmp_path / "t.ffl").write_text(
        f"{elsewhere.of(there)} {START} 100 0 0\n{elsewhere.url}/gone {START + 100} 100 0 0\n"
    )
    options = [tmp_path / "t.ffl", "--table", "--update", tmp_path / "table"]
    for _ in range(2):
        assert run("list-frames", *options, env=elsewhere.env)[::2] == (0, "")
    assert (tmp_path / "table").read_text() == (
        f"{elsewhere.of(there)}\t{START}\t100\t300000\t{1_700_000_000 * 10**9}\tused\n"
        f"{elsewhere.url}/gone\t{START + 100}\t100\t-1\t-1\tabsent\n"
    )
    assert [path for _, path, _ in elsewhere.asked].count(f"/{NAME}") == 1
    assert [path for _, path, _ in elsewhere.asked].count("/gone") == 2
    os.utime(there, (1.8e9, 1.8e9))
    assert run("list-frames", *options, "--check-remote", env=elsewhere.env)[0] == 0
    assert f"\t{1_800_000_000 * 10**9}\t" in (tmp_path / "table").read_text()
    # By hand no server is asked.
    elsewhere.asked.clear()
    assert well("list-frames", tmp_path / "t.ffl").count("\n") == 2 and elsewhere.asked == []


def test_a_server_that_knows_no_head_is_asked_for_the_first_byte(elsewhere):
    path, _ = large(elsewhere)
    elsewhere.heads = False
    assert fetch.ask([elsewhere.of(path)], [])[elsewhere.of(path)].size == 300_000
    assert elsewhere.gets() == [(f"/{NAME}", "bytes=0-0")]


def test_a_server_that_answers_503_for_a_while_and_one_that_does_so_for_one_file(elsewhere):
    first, _ = large(elsewhere)
    second, _ = large(elsewhere, "other.gwf")
    elsewhere.before = {f"/{NAME}": [status(503, heads=True)] * 2, "/other.gwf": [status(503, heads=True)] * 9}
    notes = []
    assert list(fetch.ask(map(elsewhere.of, (first, second)), notes)) == [elsewhere.of(first)]
    assert notes == [f"no answer about 1 frame(s), the server says 503 Service Unavailable: '{elsewhere.url}'"]


def test_of_two_that_hold_the_same_the_one_that_is_there_is_used_and_then_the_one_of_this_machine(tmp_path):
    here = str(stub(tmp_path))
    there, gone, unasked = (f"https://host/{name}/{NAME}" for name in ("there", "gone", "unasked"))
    known = {there: (1, 5, "used"), gone: (-1, -1, "absent")}
    judge = lambda *paths: [  # noqa: E731
        (frame.path, frame.status)
        for frame in catalog.judge([catalog.Frame(path, START, 100) for path in paths], known=known)
    ]
    assert judge(gone, unasked, there, here) == [
        (here, "used"), (there, "duplicate"), (unasked, "duplicate"), (gone, "absent"),
    ]  # fmt: skip
    assert judge(str(tmp_path / "absent"), unasked)[0] == (unasked, "used")


def test_a_list_at_a_url_is_read_and_what_it_names_lies_beside_it(elsewhere, tmp_path):
    (elsewhere.folder / "more").mkdir()
    (elsewhere.folder / "more" / "b.ffl").write_text(f"{NAME}\nc/{NAME} {START + 100} 100 0 0\n")
    (elsewhere.folder / "a.ffl").write_text("more/b.ffl\n")
    listed = well("list-frames", f"{elsewhere.url}/a.ffl", env=elsewhere.env)
    assert listed == (
        f"{elsewhere.url}/more/{NAME} {START} 100 0 0\n{elsewhere.url}/more/c/{NAME} {START + 100} 100 0 0\n"
    )
    said = refused("list-frames", f"{elsewhere.url}/none.ffl", env=elsewhere.env)
    assert said == f"list-frames: the list cannot be had, the server says 404 Not Found: '{elsewhere.url}/none.ffl'\n"


LINKS = {
    "dataset": "O1", "GPSstart": 1126051217, "GPSend": 1137254417,
    "strain": [
        {"GPSstart": 1126256640, "UTCstart": "2015-09-14T09:03:43", "detector": "H1", "sampling_rate": 4096,
         "duration": 4096, "format": form, "url": f"https://gwosc.org/archive/data/O1/1126170624/H-H1_LOSC_4_V1-1126256640-4096.{form}"}
        for form in ("hdf5", "gwf")
    ],
}  # fmt: skip
PAGE = {
    "next": None, "results_count": 1,
    "results": [{"gps_start": 1126256640, "detector": "H1", "sample_rate_kHz": 4.0,
                 "hdf5_url": "https://gwosc.org/archive/data/O1/H-H1_LOSC_4_V1-1126256640-4096.hdf5",
                 "gwf_url": "https://gwosc.org/archive/data/O1/1126170624/H-H1_LOSC_4_V1-1126256640-4096.gwf"}],
}  # fmt: skip


@pytest.mark.parametrize("form", [LINKS, PAGE])
def test_a_list_of_gwosc_is_a_list_of_its_frames(tmp_path, form):
    (tmp_path / "files.json").write_text(json.dumps(form))
    url = "https://gwosc.org/archive/data/O1/1126170624/H-H1_LOSC_4_V1-1126256640-4096.gwf"
    assert well("list-frames", tmp_path / "files.json", "--day", "2015-09-14") == f"{url} 1126256640 4096 0 0\n"
    assert "no frame of 2015-09-15" in refused("list-frames", tmp_path / "files.json", "--day", "2015-09-15")


def test_a_page_of_several_is_told_and_what_is_no_list_of_frames_refused(tmp_path):
    path = tmp_path / "files.json"
    path.write_text(json.dumps({**PAGE, "next": "https://gwosc.org/api/v2/...?page=2"}))
    status_, out, said = run("list-frames", path)
    assert (status_, out.count("\n"), said) == (
        0,
        1,
        f"list-frames: a page of several, the others are not listed: '{path}'\n",
    )
    for text, why in (
        ("{", "not a list of frames"), ('{"a": 1}', "no list of GWOSC"), ('{"strain": []}', "no entry is a frame"),
        (json.dumps({"strain": LINKS["strain"][:1]}), "no entry is a frame"),
    ):  # fmt: skip
        path.write_text(text)
        assert f"list-frames: {why}" in refused("list-frames", path)


# --- tape ---------------------------------------------------------------------------------


def on_tape(path, size=1 << 20):
    """A file whose content is not on the disk: it has no block."""
    path.write_bytes(b"")
    os.truncate(path, size)
    if os.stat(path).st_blocks:
        pytest.skip("this file system gives a file without content blocks")
    return path


def test_a_file_on_tape_is_named_and_not_opened_unless_it_is_asked_for(tmp_path):
    path = on_tape(tmp_path / NAME)
    small = on_tape(tmp_path / f"V-trend-{START + 100}-100.gwf", 1 << 16)
    out = well("list-frames", tmp_path, "--table")
    assert [line.split("\t")[-1] for line in out.splitlines()] == ["tape", "used"]
    assert run("list-frames", tmp_path) == (
        0,
        f"{small} {START + 100} 100 0 0\n",
        f"list-frames: listed but on tape: '{path}'\n",
    )
    assert "tape" not in well("list-frames", ".", "--table", "--recall", cwd=tmp_path).replace(str(tmp_path), "")
    (tmp_path / "list").write_text("V1:A\n")
    small.unlink()
    said = refused("prune-channels", tmp_path, tmp_path / "list")
    assert said == f"prune-channels: no frame can be read: '{path}' (on tape)\n"


def to_tape(path):
    """Take the content of a file from the disk; its size and time stay."""
    seen = os.stat(path)
    on_tape(path, seen.st_size)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


@pytest.fixture
def taped(tmp_path):
    """A day of three frames, of which the last is on tape: (Site, paths, what the last holds)."""
    needs("make", "parallel", "jq", "flock")
    site = Site(tmp_path)
    site.want("V1:A")
    values = np.random.default_rng(1).random(72000).astype("f4")
    many = lambda k: Signal("V1:A", values[24000 * k : 24000 * (k + 1)], 20 / 3, "V")  # noqa: E731
    paths = [site.frame(3600 * k, 3600, [many(k)]) for k in range(3)]
    real = paths[2].read_bytes()
    to_tape(paths[2])
    done = site.make()
    assert done.returncode == 0, done.stderr
    return site, paths, real


def test_a_day_whose_frame_is_on_tape_lacks_it_and_tells_why(taped):
    site, paths, _ = taped
    assert not np.isnan(site.read("V1:A")[0][:48000]).any() and np.isnan(site.read("V1:A")[0][48000:]).all()
    assert site.json("summary")["frame_files"]["tape"] == 1
    assert "1 file on tape" in well("day-status", site.out)
    told = well("why-missing", site.out, "V1:A", START + 7200, START + 10800).split("\t")
    assert told[2:5] == ["file on tape", "not read when the day was built, RECALL=yes has it", str(paths[2])]


@pytest.mark.long
def test_a_frame_that_comes_back_is_read_and_kept_when_it_goes_to_tape_again(taped):
    site, paths, real = taped
    seen = os.stat(paths[2])
    paths[2].write_bytes(real)
    os.utime(paths[2], ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert site.make().returncode == 0
    made = site.read("V1:A")[0], site.h5.stat().st_mtime_ns
    assert int((~np.isnan(made[0])).sum()) == 72000
    # It goes again: the day keeps what it had, and has nothing to do.
    to_tape(paths[2])
    plan = site.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "DRY_RUN=yes", "range")
    assert (plan.returncode, plan.stdout) == (0, ""), plan.stderr
    assert site.make().returncode == 0
    assert site.h5.stat().st_mtime_ns == made[1]
    # A day that is rebuilt has what it had: another frame changes the same increment.
    site.frame(7100, 100, [signal("V1:B", count=100)], name=f"W-test-{START + 7100}-100.gwf")
    site.want("V1:A", "V1:B")
    assert site.make().returncode == 0
    assert site.read("V1:A")[0].tobytes() == made[0].tobytes()
    assert site.json("summary")["frame_files"]["kept"] == 1


@pytest.mark.long
def test_a_frame_on_tape_is_read_where_that_is_asked_for(taped):
    """Here reading it brings nothing back: it has no content, which is what is then told."""
    site, paths, _ = taped
    assert site.make("RECALL=yes").returncode == 0
    assert [entry["path"] for entry in site.json("summary")["bad_frames"]] == [str(paths[2])]


@pytest.mark.long
def test_a_frame_on_tape_is_not_pruned(tmp_path):
    """It takes no room, and to compare it with its day would bring it back."""
    needs("make", "parallel", "jq", "flock")
    site = Site(tmp_path)
    site.want("V1:A")
    values = np.random.default_rng(1).random(72000).astype("f4")
    for k in range(2):
        site.frame(43200 * k, 43200, [Signal("V1:A", values, 5 / 3, "V")], name=f"V-test-{START + 43200 * k}-43200.gwf")
    assert site.make().returncode == 0
    first, second = sorted(site.frames.iterdir())
    to_tape(first)
    status_, out, said = run("prune-frames", site.frames, site.out, "--keep-days", "1")
    assert out == f"{second}\n" and "on tape" in said, (status_, out, said)
    assert os.stat(first).st_blocks == 0


# --- a day --------------------------------------------------------------------------------


class Far(Site):
    """A Site whose frames are elsewhere."""

    def __init__(self, folder, server):
        super().__init__(folder)
        self.server, self.frames = server, server.folder

    def list(self, path, gps, duration):
        super().list(self.server.of(path), gps, duration)

    def make(self, *variables, env=None, **options):
        return super().make(*variables, env={**self.server.env, **(env or {})}, **options)

    def hours(self, count=4, first=0):
        self.want("V1:A", "V1:B")
        for k in range(first, first + count):
            signals = [signal(name, count=3600, first=3600 * k) for name in ("V1:A", "V1:B")]
            self.frame(3600 * k, 3600, signals, name=f"V-far %25 'k-{START + 3600 * k}-3600.gwf")


@pytest.fixture
def far(tmp_path, elsewhere):
    needs("make", "parallel", "jq", "flock")
    return Far(tmp_path, elsewhere)


def digests(site):
    return {name: entry["sha256"] for name, entry in site.json("coverage").items()}


def test_a_day_from_elsewhere_is_that_from_the_disk_and_costs_the_server_nothing_again(far, tmp_path):
    far.hours()
    done = far.make()
    assert done.returncode == 0, done.stderr
    assert sorted(begins(far.server)) == [0] * 4
    assert held(far.server.cache) == []
    near = Site(tmp_path / "near")
    near.want("V1:A", "V1:B")
    for path in sorted(far.frames.iterdir()):
        near.list(path, *catalog.span_of_name(str(path)))
    assert near.make().returncode == 0
    assert digests(far) == digests(near) and far.read("V1:B")[0].tobytes() == near.read("V1:B")[0].tobytes()
    told, seen = far.json("summary"), [frame["path"] for frame in far.json("summary")["provenance"]["frames"]]
    assert seen == [far.server.of(path) for path in sorted(far.frames.iterdir())] and told["bad_frames"] == []
    sizes = [(frame["size_bytes"], frame["mtime"]) for frame in told["provenance"]["frames"]]
    assert sizes == [(path.stat().st_size, int(path.stat().st_mtime)) for path in sorted(far.frames.iterdir())]
    # With nothing new no server is asked anything.
    far.server.asked.clear()
    made = far.h5.stat().st_mtime_ns
    assert far.make().returncode == 0
    assert (far.server.asked, far.h5.stat().st_mtime_ns) == ([], made)


@pytest.mark.long
def test_what_is_absent_is_asked_for_again_and_what_changed_where_that_is_asked_for(far):
    far.hours()
    late = sorted(far.frames.iterdir())[2]
    late.rename(far.folder / "late")
    assert far.make().returncode == 0
    assert far.json("summary")["frame_files"]["absent"] == 1
    told = well("why-missing", far.out, "V1:A", START + 7200, START + 10800, env=far.server.env).split("\t")
    assert told[2] == "file absent" and told[4] == far.server.of(late)
    for ranged in (True, False):
        words = ("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "range") if ranged else ()
        far.server.asked.clear()
        assert far.make(*words).returncode == 0
        assert [(method, path) for method, path, _ in far.server.asked] == [("HEAD", urlpath(far, late))]
    (far.folder / "late").rename(late)
    far.server.asked.clear()
    # The first, in which the channels are looked for, and the one that has come.
    first = min(far.frames.iterdir())
    assert far.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "range").returncode == 0
    assert [path for path, _ in far.server.gets()] == [urlpath(far, first), urlpath(far, late)]
    assert not np.isnan(far.read("V1:A")[0][: 4 * 3600]).any()
    # One is replaced: that is seen where it is asked for.
    os.utime(late, (1.8e9, 1.8e9))
    far.server.asked.clear()
    assert far.make().returncode == 0 and far.server.asked == []
    plan = far.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "DRY_RUN=yes", "CHECK_REMOTE=yes", "range")
    assert plan.stdout == f"{DAY}\tframes changed\n"
    far.server.asked.clear()
    assert far.make("CHECK_REMOTE=yes").returncode == 0
    assert [path for path, _ in far.server.gets()] == [urlpath(far, first), urlpath(far, late)]
    assert (len(far.server.asked), held(far.server.cache)) == (6, [])


def urlpath(site, path):
    return site.server.of(path).removeprefix(site.server.url)


@pytest.fixture
def refusing(far):
    """A day of which the server gives all but one file, and answers 503 for that: (Far, path of the file, words)."""
    far.hours()
    bad = sorted(far.frames.iterdir())[1]
    far.server.before[urlpath(far, bad)] = [status(503, Retry_After="0")] * 60
    done = far.make("MAX_RETRIES=1")
    assert done.returncode == 0 and "the server says 503 Service Unavailable" in done.stderr
    return far, bad, "the server says 503 Service Unavailable"


@pytest.mark.long
def test_what_changed_and_is_fetched_anyhow_is_seen_to_have_changed(far):
    """No server is asked whether a frame that the day was made from has changed; a new channel has it fetched again."""

    def write(name, seed):
        # What cannot be compressed takes as much room whatever it is.
        data = [np.random.default_rng([seed, at]).integers(0, 2**31 - 1, 3600, "i4") for at in range(2)]
        signals = [Signal(name, each, 1.0, "V") for name, each in zip(("V1:A", "V1:B"), data, strict=True)]
        path = far.frame(7200, 3600, signals, name=name, listed=False)
        os.utime(path, (1.7e9 + seed, 1.7e9 + seed))
        return path.stat().st_size, data

    far.hours()
    path = sorted(far.frames.iterdir())[2]
    size, first = write(path.name, 1)
    far.want("V1:A")
    assert far.make().returncode == 0
    now, then = write(path.name, 2)
    assert now == size
    far.want("V1:A", "V1:B")
    done = far.make()
    assert done.returncode == 0 and "has changed since it was listed" in done.stderr
    # What the day has is of one file or of the other, and never of both.
    assert (far.read("V1:A")[0][7200:10800] == first[0]).all() and np.isnan(far.read("V1:B")[0][7200:10800]).all()
    told = well("why-missing", far.out, "V1:B", START + 7200, START + 10800, env=far.server.env).split("\t")
    assert told[2] == "not read" and told[3].startswith("has changed since it was listed, it was of ")
    plan = far.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "DRY_RUN=yes", "range")
    assert plan.stdout == f"{DAY}\tframes changed\n"
    assert far.make().returncode == 0
    for name, want in zip(("V1:A", "V1:B"), then, strict=True):
        assert (far.read(name)[0][7200:10800] == want).all()
    assert far.json("summary")["bad_frames"] == []
    far.server.asked.clear()
    assert far.make().returncode == 0 and far.server.asked == []


def test_a_file_that_the_server_will_not_give_is_a_hole_with_its_words(refusing):
    far, bad, why = refusing
    assert far.json("summary")["bad_frames"] == [
        {"path": far.server.of(bad), "reason": why, "gps_start": START + 3600, "duration": 3600}
    ]
    told = well("why-missing", far.out, "V1:A", START + 3600, START + 7200, env=far.server.env).split("\t")
    assert told[2:4] == ["not read", why]


@pytest.mark.long
def test_a_file_that_the_server_would_not_give_is_had_when_it_does(refusing):
    far, bad, _ = refusing
    far.server.before.clear()
    far.server.asked.clear()
    plan = far.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "DRY_RUN=yes", "range")
    assert plan.stdout == f"{DAY}\ta frame could not be had\n"
    assert far.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "range").returncode == 0
    # The first, in which the channels are looked for, and the one that could not be had.
    first = min(far.frames.iterdir())
    assert [path for path, _ in far.server.gets()] == [urlpath(far, first), urlpath(far, bad)]
    assert not np.isnan(far.read("V1:A")[0][: 4 * 3600]).any() and far.json("summary")["bad_frames"] == []


@pytest.mark.long
def test_a_few_failures_are_tried_again_and_a_break_is_gone_on_from(far):
    far.hours()
    paths = sorted(far.frames.iterdir())
    far.server.before[urlpath(far, paths[0])] = [status(503, Retry_After="0")] * 2
    far.server.before[urlpath(far, paths[2])] = [cut(1000), status(500, Retry_After="0")]
    assert far.make().returncode == 0
    assert far.json("summary")["bad_frames"] == [] and not np.isnan(far.read("V1:A")[0][: 4 * 3600]).any()


@pytest.mark.long
def test_a_day_that_is_killed_again_and_again_while_its_frames_come_is_that_of_an_undisturbed_run(far):
    far.hours(12)
    assert far.make().returncode == 0
    whole = digests(far)
    for path in far.frames.iterdir():
        far.server.before[urlpath(far, path)] = [slow(0.2, 1024)] * 60
    far.out = far.folder / "killed"
    given = (f"DAY={DAY}", f"FFL={far.ffl}", f"CHANNELS={far.channels}", f"OUT={far.out}")
    far.server.asked.clear()
    killed = 0
    for after in np.random.default_rng(3).uniform(0.5, 3, 8):
        process = processes.start("make", "-f", ROOT / "Makefile", *given, env=far.server.env, cwd=far.folder)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            killed += 1
        processes.kill_all(process)
    far.server.before.clear()
    done = far.make()
    assert done.returncode == 0, done.stderr
    assert killed >= 4 and digests(far) == whole and held(far.server.cache) == []
    assert any(begins(far.server)), "none was gone on with"


@pytest.mark.long
def test_what_one_server_does_not_give_comes_from_another_that_has_the_same(far, both):
    """As mirrors, or a disk and the server that it was copied from."""
    far.hours(2)
    with Elsewhere(far.frames, both) as mirror:
        for path in sorted(far.frames.iterdir()):
            far.listed.append(f"{mirror.of(path)}\n")
        far.ffl.write_text("".join(far.listed))
        used = min(far.server, mirror, key=lambda server: server.url)
        used.before = {urlpath(far, path): [status(503, Retry_After="0")] * 60 for path in far.frames.iterdir()}
        done = far.make("MAX_RETRIES=1")
    assert done.returncode == 0, done.stderr
    assert not np.isnan(far.read("V1:A")[0][:7200]).any()


@pytest.mark.long
def test_several_workers_and_a_cache_for_two_files_give_the_same_day(far):
    far.hours(12)
    size = max(path.stat().st_size for path in far.frames.iterdir())
    assert far.make("FRAME_CACHE_LIMIT=20G").returncode == 0
    whole = digests(far)
    far.out = far.folder / "small"
    done = far.make(f"FRAME_CACHE_LIMIT={2.5 * size / 1000:.3f}k", env={"ALONE": "0"})
    assert done.returncode == 0, done.stderr
    assert digests(far) == whole


@pytest.mark.long
def test_a_day_whose_server_is_away_fails_and_the_finished_one_stays(far):
    far.hours(2)
    assert far.make().returncode == 0
    before = far.h5.read_bytes()
    far.server.__exit__()
    assert far.make().returncode == 0  # it knows what it was made from
    plan = far.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "CHECK_REMOTE=yes", "DRY_RUN=yes", "range")
    assert (plan.returncode, plan.stdout) == (0, "") and "no answer about any frame, connection refused" in plan.stderr
    done = far.make("CHECK_REMOTE=yes")
    assert done.returncode != 0 and "no answer about any frame, connection refused" in done.stderr
    assert far.h5.read_bytes() == before


@pytest.mark.long
def test_check_day_compares_with_what_the_server_has(far):
    far.hours(2)
    assert far.make().returncode == 0
    status_, out, said = run("check-day", far.h5, env=far.server.env)
    assert (status_, out) == (3, ""), said
    # One that could not be had then, nor can be now, is no difference.
    bad = max(far.frames.iterdir())
    far.server.before[urlpath(far, bad)] = [status(503, Retry_After="0")] * 99
    shutil.rmtree(far.server.cache)  # it was fetched to be compared
    assert far.make("RESUME=no", "SHRINK=yes", "MAX_RETRIES=0").returncode == 0
    assert run("check-day", far.h5, env=far.server.env)[:2] == (3, "")
    far.server.before.clear()
    os.utime(min(far.frames.iterdir()), (1.8e9, 1.8e9))
    assert "frame file has changed since" in run("check-day", far.h5, env=far.server.env)[1]
    far.server.__exit__()
    assert "no answer about any frame" in refused("check-day", far.h5, env=far.server.env)


@pytest.mark.long
def test_an_estimate_fetches_nothing(far):
    far.hours(2)
    plan = far.make("FIRST=2024-04-10", "LAST=2024-04-10", "DAY=", "DRY_RUN=yes", "range")
    assert plan.returncode == 0 and plan.stdout == f"{DAY}\tnew\n" and far.server.asked == []
    assert "2 channels not met and left out" in plan.stderr


@pytest.mark.long
def test_a_frame_that_came_damaged_is_fetched_once_more_and_then_damaged(far):
    far.hours(2)
    path = max(far.frames.iterdir())
    real = path.read_bytes()
    path.write_bytes(real[:-1000] + bytes(1000))
    assert far.make().returncode == 0
    assert [(entry["path"], entry["reason"]) for entry in far.json("summary")["bad_frames"]] == [
        (far.server.of(path), "cut short or damaged: no table of contents")
    ]
    assert far.server.gets(path) == [(urlpath(far, path), "")] * 2 and held(far.server.cache) == []


# --- a federation -------------------------------------------------------------------------


def test_osdf_without_its_package_is_one_line(elsewhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "pelicanfs.core", None)
    with pytest.raises(BadInput) as raised:
        fetch.ask([f"osdf:///igwn/{NAME}"], [])
    assert str(raised.value) == (
        f"a package is not installed, osdf:// needs it, 'pip install pelicanfs': 'pelicanfs' for 'osdf:///igwn/{NAME}'"
    )


def test_a_federation_leads_to_a_cache_of_its_own(elsewhere):
    """Its director is ours: a file elsewhere is named by a Link to the cache that has it."""
    if sys.version_info < (3, 11):
        pytest.skip("pelicanfs has no release for Python 3.10")
    needs_package("pelicanfs")
    _, content = large(elsewhere, f"ours/{NAME}")
    settled, host = elsewhere.answer, elsewhere.url.removeprefix("https://")

    def directing(handler, body):
        if handler.path == "/.well-known/pelican-configuration":
            text = json.dumps({"director_endpoint": f"{elsewhere.url}/director/"}).encode()
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text)
        elif handler.path.startswith("/director/"):
            where = f"{elsewhere.url}{handler.path.removeprefix('/director')}"
            handler.send_response(307)
            handler.send_header("Location", where)
            handler.send_header("Link", f'<{where}>; rel="duplicate"; pri=1; depth=1')
            handler.send_header("X-Pelican-Namespace", "namespace=/ours, require-token=false")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            settled(handler, body)

    elsewhere.answer = directing
    elsewhere.before[f"/ours/{NAME}"] = [cut(200_000)]
    url = f"pelican://{host}/ours/{NAME}"
    assert fetch.ask([url, url + "x"], []) == {url: remote.Facts(300_000), url + "x": None}
    assert copied(elsewhere, url) == content
    assert begins(elsewhere)[-1] >= 65_536 and held(elsewhere.cache) == [NAME]
