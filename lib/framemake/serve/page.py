"""The files of the page: ours, and the chart library that comes with the Python package plotly."""

import contextlib
import functools
import gzip
import hashlib
import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

from werkzeug.wrappers import Request, Response

from .query import Refused

_HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "static")
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# Whether a browser must ask each time if a file is still the same.  The chart library changes only when it is installed
# anew, so it may be kept for a week.
_ASK, _KEEP = "no-cache", "public, max-age=604800"
# The scripts are one file for browsers: each that they ask for costs a turn before the first plot.
PAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "/": (("index.html",), _ASK),
    "/index.html": (("index.html",), _ASK),
    "/app.js": (("base.js", "times.js", "plot.js", "status.js", "overview.js", "app.js"), _ASK),
    "/app.css": (("app.css",), _ASK),
    "/chart.js": ((), _KEEP),
}


class _File(NamedTuple):
    """A file's bytes, the same compressed, and a digest of them."""

    plain: bytes
    packed: bytes
    tag: str


def answer(request: Request) -> Response:
    """The response of one of PAGES, compressed where the client takes it."""
    names, keep = PAGES[request.path]
    paths = tuple(os.path.join(_HERE, name) for name in names) or (_chart(),)
    path = paths[-1]
    try:
        file = _file(paths)
    except OSError:
        raise Refused(404, f"not installed: {os.path.basename(path)!r}") from None
    packed = request.accept_encodings["gzip"] > 0
    response = Response(file.packed if packed else file.plain)
    response.content_type = f"{_TYPES[os.path.splitext(path)[1]]}; charset=utf-8"
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = keep
    response.set_etag(file.tag + ("-gzip" if packed else ""))
    return response.make_conditional(request)


def _file(paths):
    """The _File of files one after another, read again when one of them has changed."""
    return _load(paths, tuple((found.st_mtime_ns, found.st_size) for found in map(os.stat, paths)))


@functools.lru_cache(maxsize=8)
def _load(paths, _identities):
    plain = b"".join(Path(path).read_bytes() for path in paths)
    return _File(plain, gzip.compress(plain, 6, mtime=0), hashlib.blake2b(plain, digest_size=16).hexdigest())


def prepare() -> None:
    """Read and compress the chart library, which takes half a second, once for all processes that are forked later."""
    with contextlib.suppress(OSError):
        _file((_chart(),))


@functools.cache
def _chart():
    # Not imported, which would take a second: only a file of it is wanted.
    found = importlib.util.find_spec("plotly")
    folder = found.submodule_search_locations[0] if found else ""
    return os.path.join(folder, "package_data", "plotly.min.js")
