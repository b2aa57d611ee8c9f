"""How answers are written: JSON, CSV, one-line errors, and the headers that all of them have."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from werkzeug.wrappers import Response

from .. import gps
from ..days import tables

JSON, CSV, PLAIN = "application/json", "text/csv", "text/plain"
# A page of this server may load, run and ask nothing but what this server sends.  Two exceptions: the chart library
# makes its PNG by a blob: address, and the page's icon is a data: address.
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors "
)
HEADERS = {
    "Content-Security-Policy": f"{_POLICY}'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def policy(ancestors: str) -> str:
    """The Content-Security-Policy that lets pages of some origins embed the page."""
    return _POLICY + ancestors


def tag_of(*made_of: object) -> str:
    """A short text for an ETag, which differs where what an answer is made of differs."""
    return hashlib.blake2b(repr(made_of).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def as_json(content: dict, status: int = 200) -> Response:
    """A dict as JSON; ValueError if a NaN is in it, which JSON does not have (see numbers)."""
    return Response(json.dumps(content, allow_nan=False) + "\n", status, content_type=JSON)


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], name: str) -> Response:
    """Rows under a line of column names; None is an empty field.  name: of the file that a browser saves, less .csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    response = Response(text.getvalue(), content_type=f"{CSV}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def as_sheet(columns: Sequence[tuple[str, np.ndarray, np.ndarray]], name: str) -> Response:
    """A table for a spreadsheet: UTC, GPS, and a column for each of [(its head, times in GPS s, values)].

    A row has all that begins at its time; a value that is NaN, or not there, is an empty field.
    """
    times = np.unique(np.concatenate([times for _, times, _ in columns]))
    held = []
    for _, own, values in columns:
        column = np.full(len(times), np.nan)
        column[np.searchsorted(times, own)] = values
        held.append(numbers(column))
    # A spreadsheet takes 2024-04-10 06:00:00 for a time, and with a T in it for a text.
    told = [text.replace("T", " ") for text in tables.utc_texts(times)]
    rows = zip(told, times.tolist(), *held, strict=True)
    return as_csv(("UTC", "GPS (s)", *(_inert(head) for head, _, _ in columns)), rows, name)


def _inert(head):
    """A head that no spreadsheet takes for a formula, whatever name is in it."""
    return f"'{head}" if head[:1] in ("=", "+", "-", "@", "\t", "\r") else head


def file_name(names: Sequence[str], what: str, start: float, end: float) -> str:
    """The name of a file of channels over a span, less its ending, that every system can have."""
    more = f"_and_{len(names) - 1}_more" if len(names) > 1 else ""
    span = "_".join(gps.utc(time).replace("-", "").replace(":", "") for time in (start, end))
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{names[0][:120]}{more}_{what}_{span}").lstrip(".")


def refusal(status: int, message: str, plain: bool = False) -> Response:
    """One line that says what is wrong, as JSON {"error": ...}, or as plain text for the e-Lab's clients."""
    message = " ".join(message.split())
    if plain:
        response = Response(f"{message}\n", status, content_type=f"{PLAIN}; charset=utf-8")
    else:
        response = as_json({"error": message}, status)
    response.headers["Cache-Control"] = "no-store"
    return response


def numbers(array: np.ndarray) -> list[float | None]:
    """A float array as a list in which NaN and infinity are None."""
    return [value if value - value == 0 else None for value in array.tolist()]
