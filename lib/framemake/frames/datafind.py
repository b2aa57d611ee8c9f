"""Which frame files a GWDataFind server knows, asked through the gwdatafind package.

A source is gwdatafind://HOST[:PORT]/OBSERVATORY/TYPE, where files are named OBSERVATORY-TYPE-START-DURATION.gwf.
With ?urltype=https or ?urltype=osdf it is asked for URLs of that kind in place of paths of this machine.
Without a host, $GWDATAFIND_SERVER names it.  Tokens and certificates are found as gw_data_find finds them.  The
protocol is https, but http for port 80 and for a server on this machine; gwdatafind+http:// and gwdatafind+https://
choose it.  The package takes 0.2 s to import, so it is imported when a server is asked.
"""

import os
import queue
import re
import threading
import time
import warnings
from collections.abc import Iterable
from urllib.parse import quote

from ..errors import BadInput, on_a_line
from ..gps import Window

# T010150 keeps "-" apart as the separator of a name's parts.
_SOURCE = re.compile(
    r"gwdatafind(?:\+(?P<protocol>https?))?://(?P<host>(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d+)?)?"
    r"/(?P<observatory>[A-Za-z0-9]+)/(?P<type>[\w.+#]+)/?(?:\?urltype=(?P<urltype>file|https?|osdf))?",
    re.ASCII,
)
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?")
# What the server writes before a path; it quotes nothing.
_LOCAL = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/(?!/)))(.*)")
# Seconds of frames asked for at once.  588 days of 100-s frames, 36 MB, take the server 6 s, in one answer or in 59;
# a single answer for frames of 1 s would take more than the 30 s after which gunicorn ends a worker.
_SPAN = 10 * 86400
# Seconds that an answer may take, and the pauses before a server that gave none is asked again.  A listing has these
# pauses once, however many answers it needs, so it waits at most 5 * 60 + 15 s for those that do not come.
_TIMEOUT = 60
_PAUSES = (1, 2, 4, 8)
# HTTP statuses below 500 that may be gone the next time: timeout, too early, too many requests.
_PASSING = (408, 425, 429)


class _Away(Exception):
    """There was no answer that can be used, but there may be one later; the message says why."""


def is_server(source: str) -> bool:
    """Whether a source of frames is a GWDataFind server."""
    return source.startswith("gwdatafind") and "://" in source


def find(source: str, window: Window | None, notes: list[str]) -> list[str]:
    """The paths, or URLs, of the frame files that a server knows in a window of GPS seconds, each once.

    notes: what was odd is appended to it, a line each.  Raises BadInput if there is no window, or if the server gives
    no answer, refuses, or knows no such observatory or frame type: no path means that it has answered, and has none.
    """
    match = _SOURCE.fullmatch(source)
    if not match:
        raise BadInput(
            f"no such server, want gwdatafind://HOST[:PORT]/OBSERVATORY/TYPE[?urltype=https|osdf]: {source!r}"
        )
    if window is None:
        raise BadInput(f"a GWDataFind server is asked for a span, name one by --day or --start and --end: {source!r}")
    root, urltype = _root(match["protocol"], match["host"], source), match["urltype"] or "file"
    with warnings.catch_warnings(record=True) as odd:
        urls = _urls(root, (match["observatory"], match["type"], urltype), window, notes)
    # Such as a certificate that is out of date; warnings for programmers (DeprecationWarning) are left out.
    notes += dict.fromkeys(on_a_line(warning.message) for warning in odd if issubclass(warning.category, UserWarning))
    return list(_paths(urls, urltype, notes))


def _urls(root: str, what: tuple[str, str, str], window: Window, notes: list[str]) -> Iterable[str]:
    """The URLs that the server gives, each once: a file that two spans share comes twice.

    what: observatory, frame type, and kind of URL.
    """
    api, ask, (observatory, kind, urltype) = _api(), _asker(root, notes), what
    urls: dict[str, None] = {}
    for start in range(window.start, window.end, _SPAN):
        end = min(start + _SPAN, window.end)
        urls.update(dict.fromkeys(ask(api.find_urls_path(observatory, quote(kind), start, end, urltype=urltype))))
    if not urls and kind not in ask(api.find_types_path(observatory)):
        # The answer for a type that is not known is an empty list, too.
        raise BadInput(f"the GWDataFind server knows no frame type {kind!r} of {observatory!r}: {_shown(root)!r}")
    return urls


def _paths(urls, urltype, notes):
    """Paths of this machine or, of another urltype, the URLs: the server has them as they are in its lists."""
    for url in urls:
        match = _LOCAL.fullmatch(url)
        if urltype != "file" and url.startswith(f"{urltype}://"):
            yield url
        elif match and urltype == "file":
            yield os.path.normpath(match[1])
        else:
            what = "file of this machine" if urltype == "file" else f"URL of {urltype}"
            notes.append(f"no {what}, left out: {url!r}")


def _root(protocol, host, source):
    """The URL that paths are added to."""
    if not host:
        from gwdatafind.utils import get_default_host

        try:
            host = get_default_host()
        except ValueError:
            host = ""
        if not host:
            raise BadInput(f"no host is named, nor does $GWDATAFIND_SERVER name one: {source!r}")
    if "://" in host:
        return host.rstrip("/")
    host = host.strip("/")
    plain = host.split("/")[0].endswith(":80") or _LOOPBACK.fullmatch(host)
    return f"{protocol or ('http' if plain else 'https')}://{host}"


def _shown(root):
    """The server's URL without a password that $GWDATAFIND_SERVER may hold."""
    return re.sub(r"//[^/]*@", "//", root)


def _api():
    """The module of gwdatafind that knows the paths of the API in use, v1 unless $GWDATAFIND_API says ldr."""
    from importlib import import_module

    from gwdatafind.api import APIS, DEFAULT_API

    if DEFAULT_API.lower() not in APIS:
        raise BadInput(f"$GWDATAFIND_API must be one of {', '.join(APIS)}: {DEFAULT_API!r}")
    return import_module(f"gwdatafind.api.{DEFAULT_API.lower()}")


def _asker(root, notes):
    """A function that gives the answer to a path; all its calls together have _PAUSES once."""
    pauses = iter(_PAUSES)

    def ask(path):
        while True:
            try:
                return _answer(root, path)
            except _Away as away:
                pause = next(pauses, None)
                if pause is None:
                    tries = len(_PAUSES) + 1
                    raise BadInput(
                        f"no answer from the GWDataFind server in {tries} tries, {away}: {_shown(root)!r}"
                    ) from away
                notes.append(f"the GWDataFind server was asked again, {away}: {_shown(root)!r}")
                time.sleep(pause)

    return ask


def _answer(root, path):
    """The texts that a server answers; raises _Away or, where asking again is of no use, BadInput."""
    from gwdatafind.ui import get_json

    got = queue.SimpleQueue()

    def get():
        try:
            got.put((get_json(f"{root}/{path}", timeout=_TIMEOUT), None))
        except Exception as error:
            got.put((None, error))

    # In a thread, as nothing else limits the whole time: the name's resolution, and an answer that comes byte by byte.
    threading.Thread(target=get, daemon=True).start()
    try:
        answer, error = got.get(timeout=_TIMEOUT)
    except queue.Empty:
        raise _Away(f"not all of an answer in {_TIMEOUT} s") from None
    if error is not None:
        raise _translated(error, root) from error
    if not isinstance(answer, list) or not all(isinstance(text, str) for text in answer):
        raise _Away("its answer is no list of names")
    return answer


def _translated(error, root):
    """The _Away or BadInput that an error of the client stands for."""
    import requests

    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        why = f"{status} {_message(error.response)}".rstrip()
        if status >= 500 or status in _PASSING:
            return _Away(why)
        wanted = ", it wants a token or certificate" if status in (401, 403) else ""
        return BadInput(f"the GWDataFind server refuses{wanted}, {why}: {_shown(root)!r}")
    if isinstance(error, requests.JSONDecodeError):
        return _Away("its answer is no list of names")
    if isinstance(error, requests.Timeout):
        return _Away(f"not all of an answer in {_TIMEOUT} s")
    broken = requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError
    if isinstance(error, (requests.ConnectionError, *broken)):
        return _Away(_cause(error))
    return BadInput(
        f"the GWDataFind server cannot be asked, {on_a_line(error) or type(error).__name__}: {_shown(root)!r}"
    )


def _message(response):
    """What a refusal says: the server's own message, else the name of the status."""
    try:
        return on_a_line(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return on_a_line(response.reason or "")


def _cause(error):
    """The system's reason why a connection failed, which requests has wrapped several times."""
    why = "the connection broke"
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            why = on_a_line(error.strerror)
        error = error.__cause__ or error.__context__
    if "WRONG_VERSION_NUMBER" in why or "RECORD_LAYER_FAILURE" in why:  # by the version of OpenSSL
        return "it speaks no https, gwdatafind+http:// asks by http"
    return why[0].lower() + why[1:]
