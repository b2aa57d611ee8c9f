"""The processes of the server: one socket, several processes that answer, and one that replaces those that end.

The server library is waitress.  One loop of it reads requests and sends answers, and its threads only work, so a client
that is slow with either holds up nobody.  It is all Python and depends on nothing else.  It has no limit to the whole
time of one request or answer, and leaves newcomers waiting once its places are taken: these are added here.  (Starlette
and uvicorn were tried: they answer as fast, and have neither.  A header that comes drop by drop was kept for as long as
it came, one of 50 MB was taken in, and one of its parsers takes Content-Length beside Transfer-Encoding.)
"""

import collections
import contextlib
import errno
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask

from ..errors import BadInput, wording
from .answers import HEADERS, PLAIN

if TYPE_CHECKING:
    # An address that cannot be had is told before all that answers is loaded.
    from .app import Application

THREADS = 4
# Connections of one process.
CONNECTIONS = 400
# Seconds for which a connection may be silent, in which it must send a request whole, and take in an answer whole.
IDLE, RECEIVE, SEND = 60, 20, 120
HEADER, BODY = 32 << 10, 4 << 20
_STOP, _AGAIN = 10.0, 1.0
_BACKLOG = 1024
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; BadInput if there is no such host, or the port is in use."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise BadInput(f"no such host: {host!r}") from None
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        why = "port in use" if error.errno == errno.EADDRINUSE else wording(error)
        raise BadInput(f"cannot listen, {why}: '{host}:{port}'") from None
    made.setblocking(False)
    return made


def address_of(listening: socket.socket) -> str:
    """The http address of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def run(
    application: "Application",
    listening: socket.socket,
    processes: int,
    started: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda message: None,
    proxy: str = "",
) -> None:
    """Answer with so many processes until SIGTERM or SIGINT.

    started: called once all of them are started.  say: called with one line for each that dies; it is replaced.
    proxy: as of create.
    """
    # A signal waits until it is asked for here, or until a forked process has its own handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    # However this process ends, the pipe is closed: the others see that and end as well.
    alive = os.pipe()
    children = {_start(application, listening, alive, proxy) for _ in range(processes)}
    try:
        started()
        while signal.sigtimedwait(_SIGNALS, _AGAIN) is None:
            for child in _ended(children):
                say(f"a process ended and is replaced: {child}")
                children.discard(child)
                children.add(_start(application, listening, alive, proxy))
    finally:
        _end(children)


def _start(application, listening, alive, proxy):
    """The id of a new process that answers."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        for number in _SIGNALS:
            # waitress's loop ends at a SystemExit.
            signal.signal(number, _leave)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(alive[1])
        _answer(application, listening, alive[0], proxy)
        status = 0
    finally:
        # Without what the program that this was forked from does at its exit.
        os._exit(status)


def _answer(application, listening, alive, proxy):
    threading.Thread(target=_follow, args=(alive,), daemon=True).start()
    create(application, listening, proxy).run()


def create(application: "Application", listening: socket.socket, proxy: str = "") -> BaseWSGIServer:
    """The server of one process; its run() answers until SystemExit.

    proxy: the address of a web server in front, whose X-Forwarded-For tells who asks; '' if there is none.
    """
    # waitress logs full queues and lost clients, which nobody need act on.
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    server = create_server(
        application,
        sockets=[listening],
        threads=THREADS,
        # Connection makes room before; what is more are the sockets of waitress itself.
        connection_limit=CONNECTIONS + 20,
        channel_timeout=IDLE,
        cleanup_interval=5,
        max_request_header_size=HEADER,
        max_request_body_size=BODY,
        asyncore_use_poll=True,
        ident=None,
        server_name="framemake",
        **({"trusted_proxy": proxy, "trusted_proxy_headers": {"x-forwarded-for"}} if proxy else {}),
        clear_untrusted_proxy_headers=True,
    )
    server.channel_class, server.log = Connection, application.log
    return server


def _leave(*_):
    raise SystemExit(0)


def _follow(alive):
    """End this process when the one that started it is gone."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)


class _Refusal(ErrorTask):
    """The answer to a request that is no HTTP, or too large to be read: one line, as for all errors."""

    def execute(self):
        error = self.request.error
        body = (" ".join(f"{error.reason}: {error.body}".split()) + "\n").encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", f"{PLAIN}; charset=utf-8"), *HEADERS.items()]
        self.set_close_on_finish()
        self.content_length = len(body)
        if log := self.channel.server.log:
            first = getattr(self.request, "first_line", b"").decode("latin-1")
            log.add(self.channel.addr[0], first or "-", error.code, len(body), "", "", 0.0)
        self.write(body)


class _Request(HTTPRequestParser):
    """A request whose end is told in one way: with two, a proxy in front may see other requests than are seen here."""

    def parse_header(self, header_plus):
        super().parse_header(header_plus)
        # waitress takes the header away where it follows it.
        if (self.chunked and "CONTENT_LENGTH" in self.headers) or "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding beside Content-Length, or before HTTP/1.1")


class Connection(HTTPChannel):
    """A connection that is closed when a request, or an answer, takes too long as a whole.

    waitress asks readable() and writable() of each at least once a second, in its one loop.  Once all places are
    taken, a new one gets the place of the one that has been silent for longest of the address that has most.  So nobody
    can take all places, and a school behind one address is held to no number as long as there are some.
    """

    error_task_class = _Refusal
    parser_class = _Request
    phase, since = None, 0.0

    def __init__(self, server, sock, addr, adj, map=None):
        super().__init__(server, sock, addr, adj, map)
        self.refused = len(server.active_channels) > CONNECTIONS and not self._make_room()

    def _make_room(self):
        """Close one connection that waits for its client; whether there was one."""
        others = [channel for channel in list(self.server.active_channels.values()) if channel is not self]
        count = collections.Counter(channel.addr[0] for channel in others)
        silent = [channel for channel in others if not channel.requests and not channel.total_outbufs_len]
        if not silent:
            return False
        gone = min(silent, key=lambda channel: (-count[channel.addr[0]], channel.last_activity))
        gone.will_close = True
        gone.handle_close()
        return True

    def readable(self):
        if self.refused or self._is_late():
            self.will_close = True
            self.handle_close()
            return False
        return super().readable()

    def writable(self):
        return self.connected and super().writable()

    def _is_late(self):
        """Whether the request that is coming, or the answer that is going, is under way for too long."""
        if self.requests:
            phase, most = None, 0.0
        elif self.total_outbufs_len:
            phase, most = "send", SEND
        else:
            phase, most = self.request, RECEIVE
        now = time.monotonic()
        if phase is not self.phase:
            self.phase, self.since = phase, now
        return phase is not None and now - self.since > most


def _ended(children):
    """Which of the processes have ended."""
    found = []
    for child in children:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG)[0]:
                found.append(child)
    return found


def _end(children):
    """End the processes: asked first, then made to."""
    for number, wait in ((signal.SIGTERM, _STOP), (signal.SIGKILL, 1.0)):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        until = time.monotonic() + wait
        while children and time.monotonic() < until:
            children -= set(_ended(children))
            time.sleep(0.02)
