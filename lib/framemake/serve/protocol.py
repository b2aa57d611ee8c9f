"""The protocol of today's e-Lab clients: POST / with file, recsz and records, answered with so many bytes a record.

Its statuses are those of the original server (see the project's reference of e-Lab streams): 406 for a field that is
missing or out of range, an unknown file, another content type, records that fall.
"""

import itertools
import re

import numpy as np
from werkzeug.wrappers import Request

from .query import Refused
from .streams import ServedStreams, refusing_damage

LEAST, MOST = 4, 256
# Records, and bytes, of one answer: a plot asks 801 records of 25 bytes.
RECORDS, ANSWER = 100_000, 8 << 20
FORM = "application/x-www-form-urlencoded"
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")


def answer(streams: ServedStreams, request: Request) -> bytes:
    """The octets that a POST asks for; Refused with the status that tells why."""
    if request.mimetype != FORM:
        raise Refused(406, f"content type is not {FORM}: {request.mimetype[:60]!r}")
    fields = request.form
    for name in ("file", "recsz", "records"):
        if name not in fields:
            raise Refused(406, f"field missing: {name!r}")
    size = fields["recsz"].strip()
    if not _INTEGER.fullmatch(size) or not LEAST <= int(size) <= MOST:
        raise Refused(406, f"recsz is not from {LEAST} to {MOST}: {size[:40]!r}")
    try:
        held = streams.file_bytes(fields["file"])
    except Refused as error:
        raise Refused(406 if error.status == 404 else error.status, str(error)) from None
    numbers = _numbers(fields["records"], int(size))
    with refusing_damage(fields["file"]):
        return octets(held, int(size), numbers)


def _numbers(text, size):
    """The record numbers of a request, int64, in the order given; Refused if there are too many, or they fall."""
    words = text.split(None, RECORDS)
    if len(words) > RECORDS or len(words) * size > ANSWER:
        raise Refused(413, f"at most {min(RECORDS, ANSWER // size)} records of {size} bytes a request")
    for word in words:
        if not _INTEGER.fullmatch(word):
            raise Refused(400, f"no record number: {word[:40]!r}")
    # No file has a record of a larger number, and int64 could not hold every number that is sent.
    far = 2**62
    found = np.array([max(-1, min(int(word), far)) for word in words], np.int64)
    if any(int(a) > int(b) for a, b in itertools.pairwise(words)):
        raise Refused(406, "record numbers fall")
    return found


def octets(held: np.ndarray, size: int, numbers: np.ndarray) -> bytes:
    """The `size` bytes of each record of a file; zeros for a record that is not wholly in it.

    held: the file's bytes, uint8.  numbers: of the records, int64.
    """
    inside = (numbers >= 0) & (numbers < len(held) // size)
    found = np.zeros((len(numbers), size), np.uint8)
    found[inside] = held[numbers[inside, None] * size + np.arange(size)]
    return found.tobytes()
