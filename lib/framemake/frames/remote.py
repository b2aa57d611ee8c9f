"""What the URL of a file elsewhere is, and what can go wrong with one: of fetch, without what that has to load."""

import errno
import re
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from ..errors import BadInput

_REMOTE = re.compile(r"(?:https?|osdf|pelican)://", re.IGNORECASE)
# What a URL may hold as it is; a % only before two hexadecimal digits.
_UNSAFE = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9_.~!$&'()*+,;=:@/?%-]")
# Seconds before a server that gave no answer is asked again, unless it says how many.
PAUSE = 1.0


class Away(OSError):
    """A server gave no answer that can be used, but may another time.

    server: whose it is, if it gave none at all, so that its other files need not wait as long; after: seconds to wait.
    """

    def __init__(self, words: str, server: str = "", after: float | None = None):
        super().__init__(errno.EIO, words)
        self.server, self.after = server, PAUSE if after is None else after


class Refused(OSError):
    """A server will not give a file, or what it gives is not that file: to ask once more gives the same."""

    def __init__(self, words: str):
        super().__init__(errno.EACCES, words)


class Absent(Refused):
    """The server has no such file."""


class Untrusted(Refused):
    """The server's certificate is not good for it."""


class Facts(NamedTuple):
    """What a server says of a file: size in bytes, -1 for unknown; time of the last change in ns, 0 for unknown.

    Replicas of a federation have times of their own: these are left unknown, as what is in one never changes.
    """

    size: int = -1
    mtime: int = 0


def is_remote(path: str) -> bool:
    """Whether a path of a list is the URL of a file elsewhere."""
    return path[:1] != "/" and _REMOTE.match(path) is not None


def checked(url: str) -> str:
    """A URL as it is; BadInput if it holds a name or password, which would stand in lists and messages."""
    if "@" in url.split("://", 1)[-1].split("/", 1)[0]:
        raise BadInput(f"a URL with a name or password is not taken: {_REMOTE.sub('', url).rpartition('@')[2]!r}")
    return url


def name_of(url: str) -> str:
    """The last part of the path of a URL, as it stands there."""
    return url.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1]


def quoted(url: str) -> str:
    """A URL as it is asked for: what may not stand in one is quoted, what is quoted stays."""
    scheme, _, rest = url.partition("://")
    raw = rest.encode("utf-8", "surrogateescape")
    return (
        f"{scheme.lower()}://" + _UNSAFE.sub(lambda found: quote_from_bytes(found[0], safe="").encode(), raw).decode()
    )


def server_of(url: str) -> str:
    """The scheme and host of a URL."""
    return "/".join(url.split("/", 3)[:3])
