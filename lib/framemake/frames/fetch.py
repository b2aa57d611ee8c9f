"""Files at URLs, https:// and osdf://: what a server says of them, and a fetch that goes on where it broke off.

How servers are spoken to is the session's matter.
"""

import asyncio
import base64
import binascii
import contextlib
import email.utils
import hashlib
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .. import files
from ..errors import BadInput
from . import session
from .remote import Absent, Away, Facts, Refused, Untrusted, checked, server_of

# Bytes that are written in one go; a break after fewer counts as a failure, as nothing else would end a row of them.
_CHUNK, _PROGRESS = 1 << 20, 1 << 16
# Room is taken for at most so many bytes more where a server does not tell how long a file is.
_STEP = 1 << 24
# How often a server that gives no answer is asked about a file.
_TRIES = 4
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
    found, failed = session.client().run(lambda client: _ask_all(client, wanted))
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
    gate = asyncio.Semaphore(session.AT_ONCE)

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
                    if error.server or (server_of(url) not in good and len(failed) >= session.AT_ONCE):
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
    except session.NotSo:
        # It knows no HEAD; the first byte has the same to tell.
        async with client.request("GET", url, {"Range": "bytes=0-0"}) as response:
            return _facts(url, response, _length(response) if response.status == 200 else _part_of(response)[1])


def tells_time(url: str, mtime: int) -> bool:
    """Whether a server, which is asked a few times, gives a file this time of its last change, in ns, at least once.

    Raises Away or Refused.
    """
    return any(session.client().run(lambda client: _ask_one(client, url)).mtime == mtime for _ in range(_TRIES))


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
            return session.client().run(read).decode("utf-8", "surrogateescape")
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
            told = session.client().run(lambda client: _download(client, url, into, about, room))
            break
        except Away:
            session.client().forget(url)
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
    except session.NotSo as error:
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
        with files.opened(into, "ab") as out:
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
    if session.is_federated(url):
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
