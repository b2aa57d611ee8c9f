"""Files at URLs, https:// and osdf://: what a server says of them, and a fetch that goes on where it broke off.

HTTP is spoken by fsspec's file system, that is aiohttp, in a session of this process.  osdf://PATH, and pelican://HOST/
PATH of another federation, are led to a cache of the federation by pelicanfs, if that is installed.  All of these are
imported when a URL is met, as they take 0.3 s.

A token goes to those servers alone that answer 401 or 403 without one, over https.  It is found as WLCG's bearer token
discovery says (https://doi.org/10.5281/zenodo.3937438), and in the folder that HTCondor gives a job.  Certificates are
checked against those that OpenSSL knows ($SSL_CERT_FILE, $SSL_CERT_DIR), and $X509_CERT_DIR.
"""

import asyncio
import base64
import binascii
import contextlib
import email.utils
import errno
import glob
import hashlib
import json
import os
import re
import ssl
import threading
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .. import files
from ..errors import BadInput, on_a_line
from .remote import Absent, Away, Facts, Refused, Untrusted, checked, quoted, server_of

_FEDERATED = ("osdf://", "pelican://")
# Seconds to wait for a connection, and for the next bytes of an answer; a file may take as long as it takes.
CONNECT, STALLED = 30.0, 60.0
# HTTP statuses below 500 that may be gone the next time: timeout, too early, too many requests.
_PASSING = (408, 425, 429)
# The most seconds that a server may say to wait.
_LONGEST = 60.0
# Bytes that are written in one go; a break after fewer counts as a failure, as nothing else would end a row of them.
_CHUNK, _PROGRESS = 1 << 20, 1 << 16
# Room is taken for at most so many bytes more where a server does not tell how long a file is.
_STEP = 1 << 24
# So many files are asked about at once, each so often where a server gives no answer.
_AT_ONCE, _TRIES = 16, 4
# The most that a list of frames may hold.
_LIST_BYTES = 1 << 28


# --- asking ------------------------------------------------------------------------------


def ask(urls: Iterable[str], notes: list[str]) -> dict[str, Facts | None]:
    """What servers say of files: {url: Facts, or None if the server has no such file}.

    A file of which a server says nothing is left out; what was odd is appended to notes, a line each.  BadInput if a
    server's certificate is not good, or if there was no answer at all.
    """
    wanted = list(dict.fromkeys(urls))
    if not wanted:
        return {}
    found, failed = _client().run(lambda client: _ask_all(client, wanted))
    for error in failed.values():
        if isinstance(error, BadInput):
            raise error
    untrusted = next(((url, error) for url, error in failed.items() if isinstance(error, Untrusted)), None)
    if untrusted:
        raise BadInput(f"{untrusted[1].strerror}: {server_of(untrusted[0])!r}") from untrusted[1]
    if failed and not found:
        url, error = next(iter(failed.items()))
        raise BadInput(f"no answer about any frame, {error.strerror}: {server_of(url)!r}") from error
    words: dict[str, list[str]] = {}
    for url, error in failed.items():
        words.setdefault(f"{error.strerror}: {server_of(url)!r}", []).append(url)
    notes += [f"no answer about {len(some)} frame(s), {why}" for why, some in words.items()]
    return found


async def _ask_all(client, urls):
    """({url: Facts or None}, {url: error}); a server that gave no answer in all its tries is not asked about more."""
    found: dict[str, Facts | None] = {}
    failed: dict[str, Exception] = {}
    dead: dict[str, Exception] = {}
    good: set[str] = set()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(url):
        async with gate:
            for left in reversed(range(_TRIES)):
                if server_of(url) in dead:
                    failed[url] = dead[server_of(url)]
                    return
                try:
                    found[url] = await _ask_one(client, url)
                    good.add(server_of(url))
                    return
                except Absent:
                    found[url] = None
                    good.add(server_of(url))
                    return
                except Away as error:
                    if left:
                        await asyncio.sleep(error.after)
                        continue
                    failed[url] = error
                    # It gave none at all, or none that was good of several files.
                    if error.server or (server_of(url) not in good and len(failed) >= _AT_ONCE):
                        dead[server_of(url)] = error
                except (Refused, BadInput) as error:
                    failed[url] = error
                    if not isinstance(error, Refused) or isinstance(error, Untrusted):
                        dead[server_of(url)] = error
                    return

    await asyncio.gather(*map(one, urls))
    return found, failed


async def _ask_one(client, url):
    try:
        async with client.request("HEAD", url, {}) as response:
            return _facts(url, response, _length(response))
    except _NotSo:
        # It knows no HEAD; the first byte has the same to tell.
        async with client.request("GET", url, {"Range": "bytes=0-0"}) as response:
            return _facts(url, response, _length(response) if response.status == 200 else _part_of(response)[1])


def read_text(url: str) -> str:
    """The text of a list at a URL; BadInput if it cannot be had."""

    async def read(client):
        text = bytearray()
        async with client.request("GET", checked(url), {}) as response:
            async for piece in response.content.iter_chunked(_CHUNK):
                text += piece
                if len(text) > _LIST_BYTES:
                    raise BadInput(f"too long for a list of frames: {url!r}")
        return bytes(text)

    for left in reversed(range(_TRIES)):
        try:
            return _client().run(read).decode("utf-8", "surrogateescape")
        except Away as error:
            if not left:
                raise BadInput(f"the list cannot be had, {error.strerror}: {url!r}") from error
            time.sleep(error.after)
        except Refused as error:
            raise BadInput(f"the list cannot be had, {error.strerror}: {url!r}") from error
    raise AssertionError("the last try returns or raises")


# --- fetching ----------------------------------------------------------------------------


def fetch(url: str, into: str, about: str, room: Callable[[int], None]) -> Facts:
    """Fetch a file, to its end or from where an earlier fetch broke off, and hold it against its length and checksum.

    into: the path of the file, which is there in parts until this returns.  about: that of a file beside it, which
    tells of what the part is.  room: called with the bytes that the file will have, or has so far, before they come.
    Returns what the server says of it.  Raises Away or Refused, or what room raises; what has come then stays.
    """
    while True:
        before = _size(into)
        try:
            told = _client().run(lambda client: _download(client, url, into, about, room))
            break
        except Away:
            _client().forget(url)
            if _size(into) - before < _PROGRESS:
                raise
    with files.opened(into, "rb") as file:
        os.fsync(file.fileno())
    wrong = _unlike(into, told.digests)
    if wrong:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(into)
        raise Away(f"its checksum is not the one that the server tells, {wrong}")
    return told.facts


class _Told(NamedTuple):
    """The Facts of a file that was fetched, and the checksums that its server tells: {name in hashlib: hexadecimal}."""

    facts: Facts
    digests: dict[str, str]


async def _download(client, url, into, about, room):
    at, part = _size(into), _part(about, url)
    # What another boot left may have holes in it, as it was not synced.
    if not at or not part or not part["tag"] or part["boot"] != files.boot():
        at = 0
    elif 0 <= part["size"] <= at:
        # All of it came, and then nothing was done with it: the last byte again tells what the server has now.
        at = max(0, part["size"] - 1)
        os.truncate(into, at)
    headers = {
        "Want-Repr-Digest": "sha-256=10, sha-512=5",
        "Want-Digest": "sha-256, sha-512;q=0.8, md5;q=0.5, adler32;q=0.3",
    }
    if at:
        headers.update({"Range": f"bytes={at}-", "If-Range": part["tag"]})
    try:
        response = await client.opened("GET", url, headers)
    except _NotSo as error:
        # 416: there is nothing behind what we have, so that is not of this file.
        _empty(into)
        raise Away(error.strerror, after=0) from None
    async with client.closing(response, url):
        if response.status == 206:
            first, size = _part_of(response)
            # A part need not tell the time again.
            if not at or first != at or size != part["size"] or _tag(response) not in ("", part["tag"]):
                _empty(into)
                raise Away("the server gives another part of the file than it was asked for", after=0)
            part["digests"].update(_digests(response))
        else:
            at, size = 0, _length(response)
        room(max(size, at))
        if not at:
            # First what it is, then the file: what has come is never taken for a part of another.
            _empty(into)
            part = {"url": url, "tag": _tag(response), "size": size, "boot": files.boot()}
            part.update({"mtime": _facts(url, response, size).mtime, "digests": _digests(response)})
            files.write(about, json.dumps(part) + "\n", durable=False)
        asked = size
        # A timeout of the network is an OSError as well, and not the file's.
        with _Appended(into) as out:
            async for piece in response.content.iter_chunked(_CHUNK):
                at += len(piece)
                if at > asked:  # of a file of which the server does not tell how long it is
                    asked = at + min(at, _STEP)
                    room(asked)
                out.write(piece)
    if size >= 0 and at != size:
        raise Away(f"the connection broke after {at} of {size} bytes", after=0)
    return _Told(Facts(at, part["mtime"]), part["digests"])


def _empty(path):
    with contextlib.suppress(FileNotFoundError):
        os.truncate(path, 0)


class _Appended:
    """A file that is written on at its end; an OSError names it."""

    def __init__(self, path):
        self._path = path
        with files.named(path):
            self._file = files.opened(path, "ab", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, piece):
        with files.named(self._path):
            done = 0
            while done < len(piece):
                done += self._file.write(memoryview(piece)[done:])


def _part(about, url):
    """What is known of a part; None if nothing is, or if it is of another file."""
    try:
        with files.opened(about, encoding="utf-8") as source:
            held = json.load(source)
        return held if held["url"] == url and {"tag", "size", "boot", "mtime", "digests"} <= held.keys() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


# --- what an answer says -----------------------------------------------------------------


def _facts(url, response, size):
    if _is_federated(url):
        return Facts(size)
    changed = email.utils.parsedate_tz(response.headers.get("Last-Modified", ""))
    seconds = email.utils.mktime_tz(changed) if changed else 0
    return Facts(size, seconds * 10**9)


def _length(response):
    """The bytes of the whole file, -1 if the answer does not say; of one that is packed on the way it says another."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and "Content-Encoding" not in response.headers else -1


def _part_of(response):
    """(first byte, bytes of the whole file) of an answer that has a part of it; -1 where it does not say."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if not match:
        return -1, -1
    return int(match[1]), int(match[2]) if match[2] != "*" else -1


def _tag(response):
    """What If-Range takes: a strong ETag, or Last-Modified where it is safe (RFC 9110, 13.1.5, 8.8.2.2); '' if none.

    A file that changed twice in a second would have the same time, so it must be older than that.
    """
    tag = response.headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    changed = response.headers.get("Last-Modified", "")
    times = [email.utils.parsedate_tz(text) for text in (changed, response.headers.get("Date", ""))]
    seconds = [email.utils.mktime_tz(each) for each in times if each]
    return changed if len(seconds) == 2 and seconds[1] - seconds[0] >= 1 else ""


def _digests(response):
    """The checksums of the whole file: Repr-Digest (RFC 9530), Digest (RFC 3230), Content-MD5 (RFC 1864).

    An ETag is none: what it is made from is the server's own affair.
    """
    found: dict[str, str] = {}
    headers = response.headers
    for text in ",".join(headers.getall("Digest", [])).split(","):
        name, _, value = text.strip().partition("=")
        found[name.strip().lower()] = value.strip()
    for name, value in re.findall(r"([a-z0-9-]+)=:([A-Za-z0-9+/=]*):", ",".join(headers.getall("Repr-Digest", []))):
        found[name] = value
    if response.status == 200 and "Content-MD5" in headers:
        found.setdefault("md5", headers["Content-MD5"].strip())
    known = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5", "adler32": "adler32"}
    digests = {}
    for name, ours in known.items():
        with contextlib.suppress(ValueError, binascii.Error):
            if found.get(name):
                value = found[name]
                raw = bytes.fromhex(value.zfill(8)) if ours == "adler32" else base64.b64decode(value, validate=True)
                digests[ours] = raw.hex()
    return digests


def _unlike(path, digests):
    """The name of a checksum that a file does not have, '' if it has them all; the first, as one is as good as all."""
    for name, wanted in list(digests.items())[:1]:
        adler, sums = 1, None if name == "adler32" else hashlib.new(name, usedforsecurity=False)
        with files.opened(path, "rb") as file:
            while piece := file.read(_CHUNK):
                if sums:
                    sums.update(piece)
                else:
                    adler = zlib.adler32(piece, adler)
        if (sums.hexdigest() if sums else f"{adler:08x}") != wanted:
            return name
    return ""


def _is_federated(url):
    return url.lower().startswith(_FEDERATED)


# --- the session -------------------------------------------------------------------------


class _NotSo(OSError):
    """The server does not answer this kind of request (405, 501), or has nothing of a range (416)."""


class _Client:
    """fsspec's HTTP file system, and those of pelicanfs by federation; its methods run in the loop of fsspec."""

    def __init__(self) -> None:
        from fsspec.implementations.http import HTTPFileSystem  # type: ignore[import-untyped]

        self._http = HTTPFileSystem(skip_instance_cache=True, encoded=True, get_client=_session)
        self._federations: dict[str, Any] = {}
        self._want_token: set[str] = set()

    def run(self, work: Callable[["_Client"], Awaitable]) -> Any:
        """What a coroutine of this client gives."""
        from fsspec.asyn import sync  # type: ignore[import-untyped]

        return sync(self._http.loop, work, self)

    @contextlib.asynccontextmanager
    async def request(self, method, url, headers):
        response = await self.opened(method, url, headers)
        async with self.closing(response, url):
            yield response

    async def opened(self, method, url, headers):
        """The answer of a server to a request, if it is a good one; raises Away, Refused or _NotSo."""
        import aiohttp

        with _translated(server_of(url)):
            system, place, where, given = self._http, quoted(url), server_of(url), {}
            if _is_federated(url):
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
        if _is_federated(url):
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


_clients: dict[int, _Client] = {}
_making = threading.Lock()


def _client() -> _Client:
    """The client of this process: a session does not outlive a fork."""
    with _making:
        if os.getpid() not in _clients:
            _clients.clear()
            _clients[os.getpid()] = _Client()
        return _clients[os.getpid()]


async def _session(**_):
    import aiohttp

    # OpenSSL's own certificates, which $SSL_CERT_FILE and $SSL_CERT_DIR name, and a grid's.
    trusted = ssl.create_default_context()
    folder = os.environ.get("X509_CERT_DIR")
    if folder and os.path.isdir(folder):
        trusted.load_verify_locations(capath=folder)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=STALLED)
    connector = aiohttp.TCPConnector(ssl=trusted, limit_per_host=_AT_ONCE)
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
            raise Away(f"nothing came for {STALLED:g} s", server) from None
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
        return _NotSo(errno.ENOTSUP, said)
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
