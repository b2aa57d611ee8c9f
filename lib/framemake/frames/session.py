"""The session in which servers of files at URLs are asked, https:// and osdf://, and what their refusals mean.

HTTP is spoken by fsspec's file system, that is aiohttp, in a session of this process.  osdf://PATH, and pelican://HOST/
PATH of another federation, are led to a cache of the federation by pelicanfs, if that is installed.  All of these are
imported when a URL is met, as they take 0.3 s.

A token goes to those servers alone that answer 401 or 403 without one, over https.  It is found as WLCG's bearer token
discovery says (https://doi.org/10.5281/zenodo.3937438), and in the folder that HTCondor gives a job.  Certificates are
checked against those that OpenSSL knows ($SSL_CERT_FILE, $SSL_CERT_DIR), and $X509_CERT_DIR.
"""

import asyncio
import contextlib
import email.utils
import errno
import glob
import os
import re
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from .. import files
from ..errors import BadInput, on_a_line
from .remote import Absent, Away, Refused, Untrusted, quoted, server_of

# Requests that are under way at once, to one server or in all.
AT_ONCE = 16
_FEDERATED = ("osdf://", "pelican://")
# Seconds to wait for a connection, and for the next bytes of an answer; a file may take as long as it takes.
_CONNECT, _STALLED = 30.0, 60.0
# HTTP statuses below 500 that may be gone the next time: timeout, too early, too many requests.
_PASSING = (408, 425, 429)
# The most seconds that a server may say to wait.
_LONGEST = 60.0


def is_federated(url: str) -> bool:
    """Whether a URL names a file of a federation, whose servers differ from time to time."""
    return url.lower().startswith(_FEDERATED)


class NotSo(OSError):
    """The server does not answer this kind of request (405, 501), or has nothing of a range (416)."""


class Client:
    """fsspec's HTTP file system, and those of pelicanfs by federation; its methods run in the loop of fsspec."""

    def __init__(self) -> None:
        from fsspec.implementations.http import HTTPFileSystem  # type: ignore[import-untyped]

        self._http = HTTPFileSystem(skip_instance_cache=True, encoded=True, get_client=_session)
        self._federations: dict[str, Any] = {}
        self._want_token: set[str] = set()

    def run(self, work: Callable[["Client"], Awaitable]) -> Any:
        """What a coroutine of this client gives."""
        from fsspec.asyn import sync  # type: ignore[import-untyped]

        return sync(self._http.loop, work, self)

    @contextlib.asynccontextmanager
    async def request(self, method, url, headers):
        response = await self.opened(method, url, headers)
        async with self.closing(response, url):
            yield response

    async def opened(self, method, url, headers):
        """The answer of a server to a request, if it is a good one; raises Away, Refused or NotSo."""
        import aiohttp

        with _translated(server_of(url)):
            system, place, where, given = self._http, quoted(url), server_of(url), {}
            if is_federated(url):
                system, place = await self._cache_of(url)
            token = where in self._want_token
            while True:
                if token:
                    given = {"Authorization": f"Bearer {_token()}"}
                asked = {"Accept-Encoding": "identity", **headers, **given}
                session = await system.set_session()
                try:
                    target = system.encode_url(place)
                    response = await session.request(method, target, headers=asked, allow_redirects=True)
                except ValueError as error:
                    # Of the port, say, which is looked at late; a bad certificate is one as well.
                    if isinstance(error, aiohttp.ClientError) and not isinstance(error, aiohttp.InvalidURL):
                        raise
                    raise Refused("this is no URL of a file") from None
                if response.status in (401, 403) and not token and place.startswith("https:") and _token():
                    self._want_token.add(where)
                    token = True
                    response.release()
                    continue
                break
            if response.status in (200, 206):
                return response
            response.release()
            raise _of_status(response, token)

    @contextlib.asynccontextmanager
    async def closing(self, response, url):
        """The answer, whose body is read inside; a connection of which more would come is given up."""
        try:
            # What breaks off says nothing of other files.
            with _translated(""):
                yield
        finally:
            response.close() if not response.content.at_eof() else response.release()

    def forget(self, url: str) -> None:
        """Have a federation asked anew which of its caches has a file."""
        if is_federated(url):
            self._federations.clear()

    async def _cache_of(self, url):
        """(file system of HTTP, URL) that a federation leads to."""
        import aiohttp

        try:
            from pelicanfs.core import OSDFFileSystem, PelicanFileSystem  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            raise BadInput(
                f"a package is not installed, osdf:// needs it, 'pip install pelicanfs': 'pelicanfs' for {url!r}"
            ) from None
        split = urlsplit(quoted(url))
        osdf = split.scheme == "osdf"
        name = "" if osdf else split.netloc
        if name not in self._federations:
            options = {"skip_instance_cache": True, "encoded": True, "get_client": _session, "loop": self._http.loop}
            kind = OSDFFileSystem if osdf else PelicanFileSystem
            arguments = [] if osdf else [f"pelican://{split.netloc}/"]
            token = _token()
            if token:
                # It is sent to servers of the federation alone, where the director says that they want one.
                options["headers"] = {"Authorization": f"Bearer {token}"}
            self._federations[name] = kind(*arguments, **options)
        system = self._federations[name]
        path = f"/{split.netloc}{split.path}" if osdf and split.netloc else split.path
        try:
            place, _ = await system.get_working_cache(path + (f"?{split.query}" if split.query else ""))
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
            raise
        except Exception as error:  # of many classes, and what it could not read in an answer
            # The class says more than the words, which may be none.
            words = on_a_line(str(error)) or type(error).__name__
            raise Away(f"the federation leads to no cache, {words}", server_of(url)) from error
        return system.http_file_system, place


_clients: dict[int, Client] = {}
_making = threading.Lock()


def client() -> Client:
    """The client of this process: a session does not outlive a fork."""
    with _making:
        if os.getpid() not in _clients:
            _clients.clear()
            _clients[os.getpid()] = Client()
        return _clients[os.getpid()]


async def _session(**_):
    import aiohttp

    # OpenSSL's own certificates, which $SSL_CERT_FILE and $SSL_CERT_DIR name, and a grid's.
    trusted = ssl.create_default_context()
    folder = os.environ.get("X509_CERT_DIR")
    if folder and os.path.isdir(folder):
        trusted.load_verify_locations(capath=folder)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_STALLED)
    connector = aiohttp.TCPConnector(ssl=trusted, limit_per_host=AT_ONCE)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=True)


@contextlib.contextmanager
def _translated(server):
    """Make what aiohttp raises Away or Refused; server: as of Away."""
    import aiohttp

    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or "it cannot be checked"
        raise Untrusted(f"the server's certificate is not good, {on_a_line(why)}") from None
    except aiohttp.ClientSSLError as error:
        raise Away(f"no secure connection, {_cause(error)}", server) from None
    except aiohttp.ClientConnectionError as error:
        if isinstance(error, asyncio.TimeoutError):
            raise Away(f"nothing came for {_STALLED:g} s", server) from None
        raise Away(_cause(error), server) from None
    except asyncio.TimeoutError:
        raise Away("no answer in time", server) from None
    except aiohttp.ClientPayloadError:
        raise Away("the connection broke") from None
    except aiohttp.ClientError as error:
        raise Away(on_a_line(f"no answer that can be used, {error}"), server) from None


def _cause(error):
    """The system's reason why a connection failed, which aiohttp has wrapped."""
    why = ""
    while error is not None:
        if isinstance(error, OSError) and error.strerror and not error.strerror.startswith("Cannot connect"):
            # asyncio's own words name the address as well.
            number = error.errno if error.errno and error.errno > 0 else 0
            known = isinstance(error, ConnectionError) and number in errno.errorcode
            why = os.strerror(number) if known else error.strerror
        error = getattr(error, "os_error", None) or error.__cause__ or error.__context__
    why = on_a_line(why) or "the connection broke"
    if "WRONG_VERSION_NUMBER" in why or "RECORD_LAYER_FAILURE" in why or "wrong version number" in why:
        return "it speaks no https"
    return why[0].lower() + why[1:]


def _of_status(response, token):
    """The error that a status stands for."""
    status, words = response.status, on_a_line(response.reason or "")
    said = f"the server says {status} {words}".rstrip()
    if status in (404, 410):
        return Absent(said)
    if status in (405, 416, 501):
        return NotSo(errno.ENOTSUP, said)
    if status >= 500 or status in _PASSING:
        return Away(said, after=_after(response))
    if status in (401, 403):
        return Refused(f"{said}, {'though it got a token' if token else 'it wants a token, none is found'}")
    return Refused(said)


def _after(response):
    """The seconds that a server wants to be left alone; None if it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return min(float(text), _LONGEST)
    when = email.utils.parsedate_tz(text)
    return min(max(0.0, email.utils.mktime_tz(when) - time.time()), _LONGEST) if when else None


def _token():
    """The bearer token of this person or job, '' if there is none; it is never told to anyone but a server."""
    token = os.environ.get("BEARER_TOKEN", "").strip()
    named = os.environ.get("BEARER_TOKEN_FILE")
    places = [named] if named else []
    if not named:
        # A job of HTCondor has one file a provider of tokens.
        creds = os.environ.get("_CONDOR_CREDS")
        places += sorted(glob.glob(os.path.join(glob.escape(creds), "*.use"))) if creds else []
        mine = f"bt_u{os.geteuid()}"
        places += [os.path.join(folder, mine) for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/tmp") if folder]
    for place in places:
        if token:
            break
        with contextlib.suppress(OSError, UnicodeDecodeError), files.opened(place, encoding="ascii") as source:
            token = source.read(1 << 16).strip()
    # What holds a line end or a space is no token, and must not become another header.
    return token if re.fullmatch(r"[!-~]+", token) else ""
