"""The WSGI application: which address is answered by what; an error is answered in one line, without a trace."""

import time
from collections.abc import Callable

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from . import answers, api, page, protocol
from .days import ServedDays
from .door import AccessLog, Door
from .query import Refused
from .standing import Standing
from .streams import ServedStreams

# Bytes of a request: of its body (100,000 record numbers), and of what follows the ? in an address.
BODY, QUERY = 2 << 20, 16 << 10
_API = "/api"
# What browsers say with each POST of the page that it comes from.
_OF_PAGES = ("Origin", "Sec-Fetch-Site")


class _Request(Request):
    max_content_length = BODY
    max_form_memory_size = BODY
    max_form_parts = 100


class Application:
    """Answers requests about streams and, where `days` are given, day datasets.

    say: called with one line where a request failed for no fault of its own.  door: who is let in.  log: where each
    answer is noted.  standing: how the host stands, where more is known of it than streams and days.
    """

    def __init__(
        self,
        streams: ServedStreams,
        days: ServedDays | None,
        say: Callable[[str], None] = lambda message: None,
        door: Door | None = None,
        log: AccessLog | None = None,
        standing: Standing | None = None,
    ):
        self.streams, self.say = streams, say
        self.door, self.log = door or Door(), log
        self.headers = {**answers.HEADERS, "Content-Security-Policy": answers.policy(self.door.ancestors())}
        self.interface = api.Interface(streams, days, standing)

    def __call__(self, environ, start_response):
        begun = time.monotonic()
        request = _Request(environ)
        response = self._guarded(request)
        for name, value in {**self.headers, **self.door.headers(request.headers.get("Origin", ""))}.items():
            if value:
                response.headers.setdefault(name, value)
        if self.door.ancestors() != "'none'":
            response.headers.add("Vary", "Origin")
        if self.log:
            target = environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")
            words = f"{environ['REQUEST_METHOD']} {target} {environ.get('SERVER_PROTOCOL', '')}"
            size, client = response.content_length, environ.get("REMOTE_ADDR", "-")
            referer, agent = (environ.get(name, "") for name in ("HTTP_REFERER", "HTTP_USER_AGENT"))
            self.log.add(client, words, response.status_code, size, referer, agent, time.monotonic() - begun)
        return response(environ, start_response)

    def _guarded(self, request):
        plain = not request.path.startswith((_API, "/health"))
        try:
            return self._answer(request)
        except Refused as error:
            response = answers.refusal(error.status, str(error), plain)
            if error.status == 503:
                response.headers["Retry-After"] = "1"
            return response
        except HTTPException as error:
            return answers.refusal(error.code or 400, (error.name or "refused").lower(), plain)
        except Exception as error:
            self.say(f"cannot answer, {type(error).__name__}: {_where(error)}: {request.path[:200]!r}")
            return answers.refusal(500, "the server failed at this request, its log says where", plain)

    def _answer(self, request):
        by_no_page = not any(name in request.headers for name in _OF_PAGES)
        self.door.check(request.environ.get("HTTP_HOST", ""), request.method == "POST" and by_no_page)
        if len(request.query_string) > QUERY:
            raise Refused(414, f"the address is longer than {QUERY} bytes")
        if request.path == "/" and request.method == "POST":
            held = protocol.answer(self.streams, request)
            response = Response(held, content_type="application/octet-stream")
            response.headers["Cache-Control"] = "no-store"
            return response
        if request.path in page.PAGES:
            self._only_get(request)
            return page.answer(request)
        if request.path not in self.interface.addresses:
            raise Refused(404, f"no such address, /api lists what there is: {request.path[:200]!r}")
        self._only_get(request)
        return self.interface.addresses[request.path](request)

    @staticmethod
    def _only_get(request):
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, f"only GET is answered here: {request.method[:20]!r}")


def _where(error):
    """The deepest file and line of the project's own code that an error came through, and its words."""
    at = error.__traceback__
    while at.tb_next is not None and "framemake" in at.tb_next.tb_frame.f_code.co_filename:
        at = at.tb_next
    name = at.tb_frame.f_code.co_filename.rpartition("framemake/")[2]
    return f"{name} line {at.tb_lineno}: {' '.join(str(error).split())[:200]}"
