"""Who is let in by serve-streams: names of the server, origins of pages.  Asked in this process, without a socket."""

import os

import pytest
from framemake.errors import BadInput
from framemake.serve import app, door, streams
from werkzeug.test import Client

pytestmark = pytest.mark.quick
ORIGIN = "https://elab.example.org"


@pytest.fixture
def client(tmp_path):
    """A function that makes a client of a server with an empty folder of streams."""

    def new(*names, origins=()):
        return Client(app.Application(streams.ServedStreams(str(tmp_path)), None, door=door.Door(names, origins)))

    return new


@pytest.mark.parametrize(
    "host",
    (
        "localhost", "localhost:8100", "LOCALHOST.", "a.localhost:1", "127.0.0.1:8100", "10.1.2.3", "[::1]:8100",
        "[fe80::1]", "data.example.org", "Data.Example.org.:8100", os.uname().nodename,
    ),
)  # fmt: skip
def test_addresses_and_known_names_are_answered(client, host):
    for path in ("/", "/api/streams", "/health"):
        assert client("data.example.org").get(path, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ("evil.example.org", "data.example.org.evil.org", "localhost.evil.org", "xlocalhost", "127.0.0.1.evil.org",
     "evil.org@localhost:", "evil!.example", "<b>", "[::1", "2130706433", "0x7f.1"),
)  # fmt: skip
def test_another_name_is_refused_whatever_is_asked(client, host):
    # As with --host '', which is every address of the machine.
    asked = client("data.example.org", "")
    for path in ("/", "/app.js", "/api/streams", "/health", "/none"):
        answer = asked.get(path, headers={"Host": host})
        assert answer.status_code == 421 and "--allow-host" in answer.get_data(as_text=True)
    for page in ({"Origin": "null"}, {"Origin": f"http://{host}"}, {"Sec-Fetch-Site": "same-origin"}):
        assert asked.post("/", data={"file": "x"}, headers={"Host": host, **page}).status_code == 421


def test_the_e_lab_s_clients_which_are_no_pages_post_by_any_name(client):
    assert client().post("/", data={"file": "x"}, headers={"Host": "data4.example.org:8100"}).status_code == 406


def test_no_other_page_may_read_or_embed_unless_its_origin_is_named(client):
    answer = client().get("/api/streams", headers={"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers and answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_pages_of_a_named_origin_may_read_and_embed(client):
    asked = client(origins=door.origins([f"{ORIGIN}/", "http://localhost:8080"]))
    for answer in (asked.get("/api/streams", headers={"Origin": ORIGIN}), asked.post("/", headers={"Origin": ORIGIN})):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "x-frame-options" not in answer.headers
        assert f"frame-ancestors http://localhost:8080 {ORIGIN}" in answer.headers["content-security-policy"]
    for other in ("https://elab.example.org.evil.org", "null", "http://elab.example.org"):
        answer = asked.get("/api/streams", headers={"Origin": other})
        assert "access-control-allow-origin" not in answer.headers and "Origin" in answer.headers.getlist("vary")


@pytest.mark.parametrize(
    "text", ("*", "elab.org", "https://", "https://a/b", "https://a; script-src *", "null", "ftp://a")
)
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(BadInput, match="no origin of a page"):
        door.origins([text])


def test_a_line_of_the_log_is_one_whatever_a_client_sends(tmp_path):
    log = door.AccessLog(str(tmp_path / "log"))
    log.add("::1", 'GET /"\n\x1b[31m\\\u2028\ud800 HTTP/1.1', 200, None, "a\r\nb", "\0" * 9000, 1)
    (line,) = (tmp_path / "log").read_bytes().split(b"\n")[:-1]
    assert line.isascii() and line.decode().isprintable() and line.count(b'"') == 6 and len(line) < 10_000
    with pytest.raises(OSError, match="none"):
        door.AccessLog(str(tmp_path / "none" / "log"))
