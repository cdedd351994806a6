"""The pages for errors. A person's browser gets one at an address of pages, in the reader's language; everything else gets a problem."""

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from app.core.errors import TocsinError
from app.core.ids import new_id
from app.http.pages.frame import render, viewer_of
from app.http.pages.languages import translations
from app.http.pages.refusals import error_texts
from app.http.pages.session import find_signed_in
from app.http.problems import field_of, is_expected, response_for

_NO_PAGES = ("v1", "assets", "healthz", "readyz", "metrics", "openapi.json", "downloads", "relay", "live")
_FIELDS_SHOWN, _FIRST_ERROR = 20, 400
_TRY_AGAIN = (429, 503)
_NO_DETAIL = (404, 500, 503)  # the text of the page says it in the reader's language, and better


class ErrorPage:
    """Answers an error with a page where a person asked for one.

    Browsers say `text/html` when they open a page, and not when a script asks. Some programs say so too, such as Java's; outside of
    our pages it is therefore only believed of who also says `application/xhtml+xml`, as browsers do.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        found = [(own.path, own.methods or ()) for own in iter_route_contexts(routes) if own.path is not None]
        firsts = {path[1:].partition("/")[0] for path, _ in found}
        self._ours = frozenset(first for first in firsts if not first.startswith("{")) - set(_NO_PAGES)
        self._form_only = {path for path, _ in found} - {path for path, methods in found if "GET" in methods}

    async def __call__(self, request: Request, error: Exception) -> Response | None:
        """Return the page; None for a request that gets a problem."""
        if not self._is_of_person(request):
            return None
        problem = response_for(error)
        if problem.status_code < _FIRST_ERROR:  # a redirect
            return None
        status = problem.status_code
        fields: tuple[str, ...] = ()
        if isinstance(error, RequestValidationError):
            found = error.errors()
            # An address with an id of another form names nothing, like one whose id is not there.
            status = 404 if all(one["loc"][:1] == ("path",) for one in found) else status
            fields = tuple(dict.fromkeys(field_of(one["loc"]) or "" for one in found))[:_FIELDS_SHOWN]
        # What a page does not take is left to tools, whose answer is 404. A person reads why their bookmark does not open.
        if status == HTTPStatus.NOT_FOUND and request.method == "GET" and request.url.path in self._form_only:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        who, error_id = None, ""
        if is_expected(error):
            with suppress(TocsinError):  # without the database nobody is known
                who = await find_signed_in(request)
        else:  # whatever is broken may break the look-up too
            error_id = request.scope["error_id"] = new_id("req")
        context = request.app.state.context
        page = render(
            request,
            context,
            who,
            "error.html",
            status=status,
            layout="plain.html" if who is None else "frame.html",
            texts=error_texts(status, translations(viewer_of(request, context, who).language)),
            fields=() if status == HTTPStatus.NOT_FOUND else fields,
            detail=error.detail if isinstance(error, TocsinError) and status not in _NO_DETAIL else "",
            error_id=error_id,
            again=status in _TRY_AGAIN and request.method in ("GET", "HEAD"),
        )
        page.headers.update(
            {name: value for name, value in problem.headers.items() if name in ("retry-after", "allow")}
        )
        return page

    def _is_of_person(self, request: Request) -> bool:
        first = request.url.path[1:].partition("/")[0]
        accept = request.headers.get("accept", "")
        if first in _NO_PAGES or "text/html" not in accept:
            return False
        return first in self._ours or "application/xhtml+xml" in accept
