"""Frames that a GWDataFind server knows: the real server, and one that is away, slow, broken or refuses."""

import contextlib
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import types
import urllib.request
from pathlib import Path

import pytest
from framemake.errors import BadInput
from framemake.frames import datafind, lists
from framemake.gps import Window
from support.commands import BIN, needs, refused, run, stub, well
from support.daemons import Served
from support.elsewhere import certificate
from support.sites import DAY, START, Site, samples_without_times, signal

HOUR = Window(START, START + 3600)
FILE = f"file://localhost/data/V-trend-{START}-100.gwf"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No proxy stands before this machine, and no setting of the person's own is asked for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("GWDATAFIND_SERVER", "LIGO_DATAFIND_SERVER", "GWDATAFIND_API"):
        monkeypatch.delenv(name, raising=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- the real server -------------------------------------------------------------------


@contextlib.contextmanager
def real_server(folder, more=""):
    """A gwdatafind-server that knows the .ffl files in `folder`, with more of its settings; gives 127.0.0.1:PORT."""
    gunicorn = Path(sys.prefix) / "datafind" / "bin" / "gunicorn"
    if not gunicorn.exists():
        # It cannot be had for Python 3.10, so CI may only insist on it from 3.11.
        stop = pytest.fail if os.environ.get("FRAMEMAKE_CI") == "1" and sys.version_info >= (3, 11) else pytest.skip
        stop("gwdatafind-server not installed, make test-deps does it (Python 3.11 or later, not with VENV=)")
    config = Path(folder) / "gwdatafind-server.toml"
    config.write_text(f'[[input.source]]\ntype = "ffl"\nname = "ffl"\npath = "{folder}"\ninterval = 3600\n{more}')
    host = f"127.0.0.1:{free_port()}"
    with open(Path(folder) / "log", "w") as log:
        server = subprocess.Popen(
            [gunicorn, "--no-control-socket", "-b", host, "gwdatafind_server:create_app()"],
            env={**os.environ, "GWDATAFIND_SERVER_CONFIG": str(config)}, stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{host}/api/version", timeout=60):
                break
            assert server.poll() is None, (Path(folder) / "log").read_text()
            time.sleep(0.1)
        yield host
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A frame file list with all that a day may hold, and the server that was given it: (list, server)."""
    folder = tmp_path_factory.mktemp("known")
    spans = [(START + 100 * k, 100) for k in range(-3, 30) if k not in (7, 8)]  # a gap
    spans += [(START + 2900, 3600), (START + 6000, 600), (START + 86370, 100), (START + 86480, 100)]
    data = folder / "100%25#1"
    paths = [(stub(data, *span), *span) for span in spans]
    paths.append((stub(folder / "copy", START, 100), START, 100))
    paths[5][0].unlink()
    ffl = folder / "trend.ffl"
    ffl.write_text("".join(f"{path} {start}.000000 {duration}.000000 0 0\n" for path, start, duration in paths))
    with real_server(folder) as host:
        yield ffl, host


@pytest.mark.parametrize("how", [["--day", DAY], ["--start", str(START - 150), "--end", str(START + 250)]])
def test_the_frames_are_those_of_the_list_that_the_server_was_given(known, how):
    ffl, host = known
    table = well("list-frames", ffl, *how, "--table")
    assert "\tabsent" in table and "\tduplicate" in table and "%25#" in table
    assert well("list-frames", f"gwdatafind://{host}/V/trend", *how, "--table") == table


def test_a_span_is_asked_for_in_pieces_and_a_file_in_two_of_them_comes_once(known, monkeypatch):
    ffl, host = known
    monkeypatch.setattr(datafind, "_SPAN", 950)
    window = Window(START, START + 10_000)
    got = lists.list_frames(f"gwdatafind://{host}/V/trend", window)
    assert got.notes == [] and got.frames == lists.list_frames(str(ffl), window).frames
    assert len(lists.named(f"gwdatafind://{host}/V/trend", window).frames) == len(got.frames)


def test_a_day_without_frames_says_what_it_says_of_a_list(known):
    ffl, host = known
    for source in (str(ffl), f"gwdatafind://{host}/V/trend"):
        assert refused("list-frames", source, "--day", "2020-01-01") == (
            f"list-frames: no frame of 2020-01-01 in '{source}'\n"
        )


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("V/nothing", "the GWDataFind server knows no frame type 'nothing' of 'V'"),
        ("X/trend", "the GWDataFind server refuses, 400 Observatory ID 'X' not recognised"),
    ],
)
def test_what_the_server_does_not_know_is_an_error_and_writes_nothing(known, tmp_path, what, said):
    _, host = known
    (tmp_path / "frames.tsv").write_text("old\n")
    source, update = f"gwdatafind://{host}/{what}", ["--update", tmp_path / "frames.tsv"]
    assert refused("list-frames", source, "--day", DAY, *update) == f"list-frames: {said}: 'http://{host}'\n"
    assert (tmp_path / "frames.tsv").read_text() == "old\n"


URLTYPES = """
[[url.transform]]
scheme = "https"
search = "file://localhost/"
replace = "https://far.example/"

[[url.transform]]
scheme = "osdf"
search = "file://localhost/"
replace = "osdf:///igwn/"
"""


def test_of_another_urltype_its_urls_are_listed(tmp_path):
    """As IGWN's servers have them: a transform of each path, by the kind of URL that is asked for."""
    path = f"data/V-trend-{START}-100.gwf"
    (tmp_path / "trend.ffl").write_text(f"/{path} {START} 100 0 0\n")
    with real_server(tmp_path, URLTYPES) as host:
        source = f"gwdatafind://{host}/V/trend?urltype="
        for kind, url in (("https", "https://far.example/"), ("osdf", "osdf:///igwn/")):
            assert well("list-frames", f"{source}{kind}", "--day", DAY) == f"{url}{path} {START} 100 0 0\n"
        assert run("list-frames", f"{source}file", "--day", DAY)[2] == f"list-frames: listed but absent: '/{path}'\n"
        assert "no frame of" in refused("list-frames", f"{source}http", "--day", DAY)
        assert "no such server, want" in refused("list-frames", f"{source}gsiftp", "--day", DAY)


def test_without_a_host_the_server_is_the_one_of_the_environment(known):
    ffl, host = known
    named = {"GWDATAFIND_SERVER": f"http://{host}"}
    got = well("list-frames", "gwdatafind:///V/trend", "--day", DAY, "--table", env=named)
    assert got == well("list-frames", ffl, "--day", DAY, "--table")
    assert "no host is named" in refused("list-frames", "gwdatafind:///V/trend", "--day", DAY)


def test_make_builds_the_day_that_a_list_gives_and_again_only_when_the_server_knows_more(tmp_path):
    needs("make", "parallel", "jq", "flock")
    site = Site(tmp_path)
    site.want("V1:A")
    for k in range(3):
        site.frame(3600 * k, 3600, [signal(count=3600, first=3600 * k)], name=f"V-made-{START + 3600 * k}-3600.gwf")
    listed = site.make()
    assert listed.returncode == 0, listed.stderr
    wanted = site.read("V1:A")[0]
    site.out = tmp_path / "other"
    with real_server(tmp_path) as host:
        source = f"gwdatafind://{host}/V/made"
        first = site.make(f"FFL={source}")
        assert first.returncode == 0, first.stderr
        assert site.read("V1:A")[0].tobytes() == wanted.tobytes()
        assert site.json("summary")["ffl_path"] == source
        made = samples_without_times(site.h5), site.h5.stat().st_mtime_ns
        assert site.make(f"FFL={source}").returncode == 0
        assert (samples_without_times(site.h5), site.h5.stat().st_mtime_ns) == made
        # What cannot be asked for is no reason to throw away what is there, nor to call it finished.
        unknown = site.make(f"FFL=gwdatafind://{host}/V/nothing")
        assert unknown.returncode != 0 and "knows no frame type 'nothing'" in unknown.stderr
        assert site.json("state_day.json")["status"] == "failed"
        assert samples_without_times(site.h5) == made[0]


@pytest.mark.long
def test_a_day_whose_server_is_away_fails_and_leaves_nothing_behind_that_counts(tmp_path):
    needs("make", "parallel", "jq", "flock")
    site = Site(tmp_path)
    site.want("V1:A")
    host = f"127.0.0.1:{free_port()}"
    done = site.make(f"FFL=gwdatafind://{host}/V/made")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    said = f"no answer from the GWDataFind server in 5 tries, connection refused: 'http://{host}'"
    state = site.json("state_day.json")
    assert (state["status"], state["error"]) == ("failed", f"list-frames: {said}")
    assert said in done.stderr and not site.h5.exists() and not (site.day / ".work" / "frames.tsv").exists()


# --- a server that does not do what it should ------------------------------------------


class Broken(Served):
    """A server on loopback that gives the answers in `answers` in turn, and the last of them ever after.

    An answer is (status, text), or a function that gets the request's handler and writes to it.
    """

    def __init__(self, *answers, port=0, context=None):
        self.answers, self.paths = answers, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                answer = self.answers[min(len(self.paths), len(self.answers) - 1)]
                self.paths.append(handler.path)
                if callable(answer):
                    answer(handler)
                    return
                status, text = answer
                handler.send_response(status)
                handler.send_header("Content-Length", str(len(text)))
                handler.end_headers()
                handler.wfile.write(text.encode())

            def log_message(handler, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.source = f"gwdatafind://{self.host}/V/trend"
        self.over = threading.Event()

    def __exit__(self, *why):
        self.over.set()
        super().__exit__(*why)


def cut_short(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'["file://')


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


def hang(handler):
    time.sleep(1)


def drip(handler):
    """Never silent for long, and never done."""
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(datafind, "_PAUSES", (0.01, 0.01, 0.01, 0.01))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, "<html>"), "500 Internal Server Error"),
        ((503, json.dumps({"message": "the cache\nis being read"})), "503 the cache is being read"),
        ((429, ""), "429 Too Many Requests"),
        ((200, "<html>please log in</html>"), "its answer is no list of names"),
        ((200, ""), "its answer is no list of names"),
        ((200, "null"), "its answer is no list of names"),
        ((200, "{}"), "its answer is no list of names"),
        ((200, "[1, 2]"), "its answer is no list of names"),
        ((200, '["file://'), "its answer is no list of names"),
        (cut_short, "the connection broke"),
        (hang_up, "the connection broke"),
    ],
)
def test_what_may_pass_is_asked_again_and_then_an_error_that_names_the_server(impatient, answer, why):
    with Broken(answer) as server:
        with pytest.raises(BadInput) as error:
            lists.list_frames(server.source, HOUR)
        assert len(server.paths) == 5
    assert str(error.value) == f"no answer from the GWDataFind server in 5 tries, {why}: 'http://{server.host}'"


@pytest.mark.slow
@pytest.mark.parametrize("answer", [hang, drip])
def test_a_server_that_comes_to_no_end_is_not_waited_for(impatient, monkeypatch, answer):
    monkeypatch.setattr(datafind, "_TIMEOUT", 0.3)
    with Broken(answer) as server, pytest.raises(BadInput) as error:
        lists.list_frames(server.source, HOUR)
    why = "not all of an answer in 0.3 s"
    assert str(error.value) == f"no answer from the GWDataFind server in 5 tries, {why}: 'http://{server.host}'"


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (400, json.dumps({"message": "no such observatory"}), "refuses, 400 no such observatory"),
        (401, "", "refuses, it wants a token or certificate, 401 Unauthorized"),
        (403, '["a list"]', "refuses, it wants a token or certificate, 403 Forbidden"),
        (404, "<html>", "refuses, 404 Not Found"),
    ],
)
def test_what_will_not_pass_is_an_error_at_once(impatient, status, text, why):
    with Broken((status, text)) as server:
        with pytest.raises(BadInput) as error:
            lists.list_frames(server.source, HOUR)
        assert len(server.paths) == 1
    assert str(error.value) == f"the GWDataFind server {why}: 'http://{server.host}'"


def test_a_server_that_comes_back_gives_its_frames_and_that_it_was_asked_again_is_told(impatient):
    with Broken((500, ""), (200, "{}"), (200, json.dumps([FILE]))) as server:
        found, told = lists.named(server.source, HOUR)
    assert [frame[:3] for frame in found] == [(f"/data/V-trend-{START}-100.gwf", START, 100)]
    assert told == [
        f"the GWDataFind server was asked again, {why}: 'http://{server.host}'"
        for why in ("500 Internal Server Error", "its answer is no list of names")
    ]


def test_all_pieces_of_a_span_together_wait_only_as_long_as_one(impatient, monkeypatch):
    monkeypatch.setattr(datafind, "_SPAN", 600)
    with Broken((500, ""), (200, "[]"), (500, ""), (200, "[]"), (500, "")) as server:
        with pytest.raises(BadInput, match="in 5 tries"):
            lists.list_frames(server.source, HOUR)
        assert len(server.paths) == 7  # two that were good, five that were not


def test_a_piece_that_fails_leaves_no_half_of_a_span(impatient, monkeypatch):
    monkeypatch.setattr(datafind, "_SPAN", 1800)
    with Broken((200, json.dumps([FILE])), (404, "")) as server, pytest.raises(BadInput, match="404"):
        lists.list_frames(server.source, HOUR)


def test_a_server_that_starts_while_it_is_waited_for_is_asked(monkeypatch):
    port, pauses = free_port(), []
    with contextlib.ExitStack() as started:

        def sleep(seconds):
            pauses.append(seconds)
            if len(pauses) == 3:
                started.enter_context(Broken((200, json.dumps([FILE])), port=port))

        monkeypatch.setattr(datafind, "time", types.SimpleNamespace(sleep=sleep))
        found, told = lists.named(f"gwdatafind://127.0.0.1:{port}/V/trend", HOUR)
    assert (len(found), pauses) == (1, [1, 2, 4])
    assert told == [f"the GWDataFind server was asked again, connection refused: 'http://127.0.0.1:{port}'"] * 3


def test_what_is_no_frame_file_of_this_machine_is_told_and_left_out(impatient):
    odd = ["osdf:///igwn/V-trend-1-1.gwf", "file://elsewhere/V-trend-1-1.gwf", "file://localhost/data/today.gwf"]
    with Broken((200, json.dumps([*odd, FILE]))) as server:
        found, told = lists.named(server.source, HOUR)
    assert len(found) == 1 and len(told) == 3
    assert [any(url.split("/")[-1] in line for line in told) for url in odd] == [True] * 3


# --- how a server is named and reached -------------------------------------------------


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("gwdatafind://datafind.example/V/V1trend", "https://datafind.example"),
        ("gwdatafind://datafind.example:443/V/V1trend", "https://datafind.example:443"),
        ("gwdatafind://datafind.example:80/V/V1trend", "http://datafind.example:80"),
        ("gwdatafind+http://datafind.example:8080/V/V1trend", "http://datafind.example:8080"),
        ("gwdatafind://localhost:8080/V/V1trend/", "http://localhost:8080"),
        ("gwdatafind://[::1]:8080/V/V1trend", "http://[::1]:8080"),
        ("gwdatafind+https://localhost/V/V1trend", "https://localhost"),
    ],
)
def test_the_protocol_is_that_of_gw_data_find_but_http_on_this_machine(monkeypatch, source, root):
    """Against the client's own choice, where it has one: the names here lead nowhere."""
    import gwdatafind.ui

    asked = []
    monkeypatch.setattr(gwdatafind.ui, "get_json", lambda url, **_: asked.append(url) or [FILE])
    assert len(lists.named(source, HOUR).frames) == 1
    assert asked == [f"{root}/api/v1/gwf/V/V1trend/{HOUR.start},{HOUR.end}/file.json"]
    if "+" not in source and root.endswith(("example", ":443", ":80")):
        gwdatafind.find_urls("V", "V1trend", *HOUR, host=source.split("/")[2], on_gaps="ignore")
        assert asked[1] == asked[0]


@pytest.mark.parametrize(
    "source",
    [
        "gwdatafind://host", "gwdatafind://host/V", "gwdatafind://host/V/", "gwdatafind://host/V/V1-trend",
        "gwdatafind://host/V/V1trend/more", "gwdatafind://me:secret@host/V/V1trend", "gwdatafind+ftp://host/V/V1trend",
        "gwdatafind://host/V/V1trend?ext=hdf5", "gwdatafind://ho st/V/V1trend",
    ],
)  # fmt: skip
def test_a_source_that_is_not_spelt_so_is_refused(source):
    assert refused("list-frames", source, "--day", DAY).startswith("list-frames: no such server, want gwdatafind://")


def test_a_server_needs_a_span():
    assert "is asked for a span" in refused("list-frames", "gwdatafind://127.0.0.1:1/V/trend")


def test_a_list_whose_name_begins_like_a_server_is_a_list(tmp_path):
    path = stub(tmp_path / "frames")
    (tmp_path / "gwdatafind.ffl").write_text(f"{path} {START} 100 0 0\n")
    assert well("list-frames", "gwdatafind.ffl", cwd=tmp_path) == f"{path} {START} 100 0 0\n"


def test_http_where_https_is_asked_for_says_so(impatient):
    with Broken((200, "[]")) as server, pytest.raises(BadInput, match="it speaks no https, gwdatafind"):
        lists.list_frames(server.source.replace("gwdatafind:", "gwdatafind+https:"), HOUR)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A file with a certificate for 127.0.0.1, good for server and client, and its key."""
    both = certificate(tmp_path_factory.mktemp("tls"))
    both.chmod(0o600)
    return both


def test_a_certificate_is_found_as_gw_data_find_does(certificates):
    """Over https, to a server that takes only who shows one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates)
    context.load_verify_locations(certificates)
    context.verify_mode = ssl.CERT_REQUIRED
    environment = {"REQUESTS_CA_BUNDLE": str(certificates), "X509_USER_PROXY": str(certificates)}
    with Broken((200, json.dumps([FILE])), context=context) as server:
        source = server.source.replace("gwdatafind:", "gwdatafind+https:")
        status, out, told = run("list-frames", source, "--day", DAY, "--table", env=environment)
    assert (status, told) == (0, "") and FILE.removeprefix("file://localhost") in out


def test_a_certificate_that_cannot_be_used_is_told(tmp_path):
    with Broken((200, json.dumps([FILE]))) as server:
        environment = {"X509_USER_PROXY": str(tmp_path / "none")}
        status, _, told = run("list-frames", server.source, "--day", DAY, "--table", env=environment)
    assert status == 0 and told.startswith("list-frames: ") and told.count("\n") == 1 and str(tmp_path / "none") in told


def test_a_list_is_read_without_the_client_of_a_server(tmp_path):
    """It takes a quarter of a second to import, and a day with nothing new a fifth of one."""
    (tmp_path / "t.ffl").write_text(f"{stub(tmp_path)} {START} 100 0 0\n")
    code = (
        "import sys; from framemake.frames import lists; lists.list_frames(sys.argv[1]); "
        "sys.exit(bool({'gwdatafind', 'requests'} & set(sys.modules)))"
    )
    program = [sys.executable, "-c", code, tmp_path / "t.ffl"]
    environment = {**os.environ, "PYTHONPATH": str(BIN.parent / "lib")}
    assert subprocess.run(program, env=environment, check=False).returncode == 0
