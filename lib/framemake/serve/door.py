"""Who is let in: by which names the server may be asked, which other pages may read or embed it, and who asked what.

A page of another site can have its own name lead to this machine (DNS rebinding), and would then read as if it were
the server's own page.  So a name in Host must be known; an address, which no such page can use, always is.
"""

import ipaddress
import os
import re
import threading
import time
from collections.abc import Collection, Iterable

from ..errors import BadInput
from .query import Refused

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?")
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d*)?")
# Seconds after which it is looked whether the log was moved away, as logrotate does.
_LOOK = 1.0
_LONGEST = 2000


def origins(texts: Iterable[str]) -> list[str]:
    """Origins of pages, scheme://name[:port], in small letters; BadInput for a text that is none."""
    found = []
    for text in texts:
        origin = text.strip().lower().removesuffix("/")
        if not _ORIGIN.fullmatch(origin):
            raise BadInput(f"no origin of a page, want https://name or http://name:port: {text!r}")
        found.append(origin)
    return found


def address(text: str) -> str:
    """The address of a machine, such as 127.0.0.1, as it is; BadInput if it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise BadInput(f"no address of a machine, want one as 127.0.0.1: {text!r}") from None


class Door:
    """Which requests are let in.

    names: by which the server may be asked besides addresses, localhost and the machine's own name.
    origins: of other pages that may read its answers and embed its page, as origins() gives them.
    """

    def __init__(self, names: Collection[str] = (), allowed: Collection[str] = ()):
        self._names = {"localhost", os.uname().nodename.lower(), *(name.lower().rstrip(".") for name in names)} - {""}
        self._origins = frozenset(allowed)

    def check(self, host: str, posted_by_no_page: bool = False) -> None:
        """Refused, 421, if the Host of a request is a name that is not known; '' is of clients before HTTP/1.1.

        posted_by_no_page: it is a POST without what each browser says of the page behind one.  So the e-Lab's clients
        post, and may use any name.
        """
        if not host or posted_by_no_page or self._is_known(host):
            return
        raise Refused(421, f"not asked by a name of this server, --allow-host NAME lets one in: {host[:200]!r}")

    def _is_known(self, host):
        match = _HOST.fullmatch(host)
        name = (match[1] or match[2]).lower().rstrip(".") if match else ""
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def headers(self, origin: str) -> dict[str, str]:
        """The headers that let pages of allowed origins in, for a request from an origin, or ''."""
        if not self._origins:
            return {}
        found = {"X-Frame-Options": ""}
        if origin.lower() in self._origins:
            found["Access-Control-Allow-Origin"] = origin
            found["Access-Control-Expose-Headers"] = "Content-Disposition, ETag, Retry-After"
        return found

    def ancestors(self) -> str:
        """What the Content-Security-Policy says of pages that may embed this one."""
        return " ".join(sorted(self._origins)) or "'none'"


class AccessLog:
    """A file to which each answer adds a line, in the combined format of web servers, with the seconds it took.

    All processes append to it.  A file that was moved away is made anew.  OSError if it cannot be opened.
    """

    def __init__(self, path: str):
        self._path, self._lock = os.path.abspath(path), threading.Lock()
        self._looked = 0.0
        self._handle = self._opened()

    def _opened(self):
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def add(
        self, client: str, request: str, status: int, size: int | None, referer: str, agent: str, took: float
    ) -> None:
        """Note an answer: request: its method, target and protocol; size: bytes of the body, None if not known."""
        when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        words = (_plain(text) for text in (request, referer or "-", agent or "-"))
        first, *others = (f'"{word}"' for word in words)
        told = f"{_plain(client)} - - [{when}] {first} {status} {'-' if size is None else size}"
        line = f"{told} {' '.join(others)} {took:.3f}\n".encode()
        with self._lock:
            try:
                self._look()
                # One write, so that lines of several processes do not mix.
                os.write(self._handle, line)
            except OSError:
                # A full disk is no reason not to answer.
                return

    def _look(self):
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        try:
            moved = not os.path.samestat(os.stat(self._path), os.fstat(self._handle))
        except FileNotFoundError:
            moved = True
        if moved:
            old, self._handle = self._handle, self._opened()
            os.close(old)


def _plain(text):
    """A text without quotes, control characters and others that could break a line of the log or a terminal."""
    return re.sub(
        r"[^ !#-\[\]-~]",
        lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "replace")),
        text[:_LONGEST],
    )
