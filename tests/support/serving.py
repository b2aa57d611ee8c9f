"""A real server for a test: bin/serve-streams as a process, asked over HTTP."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from support.commands import BIN


class Answer(NamedTuple):
    """Status, headers (names in small letters) and body of an answer."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


class Server:
    """A server that runs; said: what it wrote to stderr, once it has ended."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port
        self.said = None

    def ask(self, method, target, body=None, headers=None):
        """The Answer to one request, whose target is sent without a change."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()

    def get(self, path, *names, headers=None, **query):
        """The Answer to GET of a path with a query; names: values of `name`."""
        pairs = [("name", name) for name in names] + list(query.items())
        return self.ask("GET", path + ("?" + urlencode(pairs, quote_via=quote) if pairs else ""), headers=headers)

    def post(self, headers=None, **fields):
        """The Answer to the request of an e-Lab client."""
        form = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.ask("POST", "/", urlencode(fields).encode(), form)

    def connect(self):
        """A bare connection, for a client that behaves badly."""
        return socket.create_connection((self.host, self.port), timeout=30)


@contextlib.contextmanager
def served(streams, *options, fails=False):
    """A Server of a folder of streams on a free port; it must exit 0 and, unless `fails`, write nothing to stderr."""
    process = subprocess.Popen(
        [BIN / "serve-streams", streams, "--port", "0", *map(str, options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        server = Server(process, process.stdout.readline().strip())
        assert server.port, process.communicate()[1]
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            out, said = process.communicate(timeout=20)
        finally:
            process.kill()
    server.said = said
    assert (process.returncode, out) == (0, "")
    assert fails or said == ""
