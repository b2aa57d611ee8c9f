"""Frames elsewhere: a real HTTPS server of a folder's files, with a certificate made on the spot, and its faults.

Elsewhere answers HEAD and GET, with ranges as RFC 9110 has them.  Faults are put before a file: the next requests for
it meet them, one each.  cut, slow, status, sent and stall make them.
"""

import contextlib
import email.utils
import hashlib
import http.server
import os
import ssl
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

from support.commands import needs
from support.daemons import Served

__all__ = ["Elsewhere", "certificate", "cut", "sent", "slow", "stall", "status"]


def certificate(folder, names="IP:127.0.0.1,DNS:localhost", days=2):
    """The path of a file with a certificate of these names, and its key, made by openssl."""
    needs("openssl")
    key, cert, both = (Path(folder) / name for name in ("key.pem", "cert.pem", "both.pem"))
    given = "-subj", "/CN=framemake", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", cert
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), *given],
        check=True,
        capture_output=True,
    )
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    return both


class Elsewhere(Served):
    """A server of the files in a folder.  url: its address; env: what commands need to trust it, and their cache.

    asked: (method, path, Range or '') of each request.  before: {path: [fault, ...]}.  etags: whether it tells ETags.
    told: more headers of each file, or a function of the method that gives them.  token: if set, the bearer token
    without which it answers 403.
    """

    def __init__(self, folder, both, cache=None):
        self.folder, self.asked, self.before, self.told = Path(folder), [], {}, {}
        self.etags, self.token, self.tokens, self.heads = True, "", [], True
        self._lock, here = threading.Lock(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_HEAD(self):
                here.answer(self, False)

            def do_GET(self):
                here.answer(self, True)

            def log_message(self, *_):
                pass

            def handle(self):
                with contextlib.suppress(OSError):
                    super().handle()

        class Server(http.server.ThreadingHTTPServer):
            def finish_request(self, request, address):
                # In the thread of the connection: one that shakes no hands holds up no other.
                request.settimeout(60)
                with contextlib.suppress(OSError):
                    super().finish_request(
                        context.wrap_socket(request, server_side=True) if context else request, address
                    )

            def shutdown_request(self, request):
                with contextlib.suppress(OSError):
                    request.close()

        context = None
        if both:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(both)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if both else 'http'}://127.0.0.1:{self.server.server_port}"
        self.cache = Path(cache or self.folder.parent / "cache")
        self.env = {"SSL_CERT_FILE": str(both or ""), "NO_PROXY": "127.0.0.1", "FRAME_CACHE": str(self.cache)}

    def of(self, path):
        """The URL of a file of the folder."""
        return f"{self.url}/{urllib.parse.quote(str(Path(path).relative_to(self.folder)))}"

    def gets(self, path=None):
        """The requests for what is in files, or in one file: (path, Range)."""
        wanted = None if path is None else "/" + urllib.parse.quote(str(Path(path).relative_to(self.folder)))
        return [(each, span) for method, each, span in self.asked if method == "GET" and wanted in (None, each)]

    def answer(self, handler, body):
        where, span = handler.path, handler.headers.get("Range", "")
        with self._lock:
            self.asked.append((handler.command, where, span))
            self.tokens.append(handler.headers.get("Authorization", ""))
            refused = self.token and self.tokens[-1] != f"Bearer {self.token}"
            faults = [] if refused else self.before.get(where, [])
            fault = faults.pop(0) if faults and (body or getattr(faults[0], "heads", False)) else None
        if not body and not self.heads:
            return send(handler, 405)
        if refused:
            return send(handler, 403)
        if fault is not None and getattr(fault, "instead", False):
            return fault(handler)
        path = self.folder / urllib.parse.unquote(where.split("?")[0]).lstrip("/")
        if not path.is_file():
            return send(handler, 404)
        content, changed = path.read_bytes(), path.stat().st_mtime
        told = self.told(handler.command) if callable(self.told) else self.told
        headers = {"Last-Modified": email.utils.formatdate(changed, usegmt=True), "Accept-Ranges": "bytes", **told}
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.etags:
            headers["ETag"] = tag
        code, piece = 200, content
        if span and handler.headers.get("If-Range", tag) in (tag, headers["Last-Modified"]):
            first, _, last = span.removeprefix("bytes=").partition("-")
            first, stop = int(first), int(last) + 1 if last else len(content)
            if first >= len(content):
                return send(handler, 416)
            code, piece = 206, content[first:stop]
            headers["Content-Range"] = f"bytes {first}-{first + len(piece) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(piece))
        handler.send_response(code)
        for name, value in headers.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        if body:
            (fault or whole)(handler, piece)
        return None


def send(handler, code, **headers):
    handler.send_response(code)
    for name, value in {"Content-Length": "0", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def whole(handler, piece):
    handler.wfile.write(piece)


def cut(after):
    """So many bytes, and then the connection breaks."""

    def fault(handler, piece):
        handler.wfile.write(piece[:after])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()

    return fault


def slow(pause, bytes_at_once=1 << 16):
    """A pause between pieces of the file."""

    def fault(handler, piece):
        for at in range(0, len(piece), bytes_at_once):
            handler.wfile.write(piece[at : at + bytes_at_once])
            time.sleep(pause)

    return fault


def stall(after, over):
    """So many bytes, and then nothing until the event is set."""

    def fault(handler, piece):
        handler.wfile.write(piece[:after])
        handler.wfile.flush()
        over.wait(60)
        handler.close_connection = True

    return fault


def sent(event, then=whole):
    """The file, when the event is set."""

    def fault(handler, piece):
        event.wait(60)
        then(handler, piece)

    return fault


def status(code, heads=False, **headers):
    """A status in place of the file; heads: of HEAD, too."""

    def fault(handler):
        send(handler, code, **headers)

    fault.instead, fault.heads = True, heads
    return fault


def held(cache):
    """The names of the files that are whole in a cache."""
    return sorted(name for _, _, names in os.walk(cache) for name in names if name.endswith(".gwf"))
