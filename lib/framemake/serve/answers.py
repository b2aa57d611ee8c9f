"""How answers are written: JSON, CSV, one-line errors, and the headers that each of them has."""

import csv
import hashlib
import io
import json

from werkzeug.wrappers import Response

JSON, CSV, PLAIN = "application/json", "text/csv", "text/plain"
# Nothing but what this server sends is run, shown or asked.  The chart library draws its PNG from a blob: address,
# and the page's icon is a data: one.
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def tag_of(*made_of):
    """A short text that names what an answer is made of, for an ETag."""
    return hashlib.blake2b(repr(made_of).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def as_json(told, status=200):
    """A dict as JSON; NaN must have become None before."""
    return Response(json.dumps(told, allow_nan=False) + "\n", status, content_type=JSON)


def as_csv(columns, rows, name):
    """Rows under a line of column names; None is an empty field.  name: of the file that a browser saves."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    response = Response(text.getvalue(), content_type=f"{CSV}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def refusal(status, message, plain=False):
    """One line that says what is wrong: plain text for the old protocol, else JSON {"error": ...}."""
    message = " ".join(message.split())
    if plain:
        response = Response(f"{message}\n", status, content_type=f"{PLAIN}; charset=utf-8")
    else:
        response = as_json({"error": message}, status)
    response.headers["Cache-Control"] = "no-store"
    return response


def numbers(array):
    """A float array as a list in which NaN, and infinity, is None."""
    return [value if value - value == 0 else None for value in array.tolist()]
