"""Every list of the API as CSV or NDJSON, whole and streamed: `?format=csv`, or by the Accept header.

There is no second code path for a list: its own endpoint is asked page after page, and each page is written in the other format.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import Unavailable
from app.http.paging import PageOut

Format = Literal["csv", "ndjson"]
_MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_BY_ACCEPT: dict[str, Format] = {"text/csv": "csv", "application/x-ndjson": "ndjson", "application/jsonl": "ndjson"}
_PAGE = "200"
_OK = 200
# A cell that begins like this is a formula for a spreadsheet, also in the wide letters that some take for the plain ones.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001
# Where `;` or a tab separates cells, as in a German spreadsheet, a cell of ours is cut there, and at a line's end: each piece is a cell.
_FORMULA_AFTER_CUT = re.compile('([;\t\r\n][ "]*)(?=[=+\\-@＝＋－＠])')  # noqa: RUF001


def export_lists(routes: Iterable[BaseRoute]) -> None:
    """Let every route that answers with a page also answer with the whole list in another format."""
    for route in routes:
        model = getattr(route, "response_model", None)
        if not isinstance(route, APIRoute) or isinstance(route.app, ListExport):
            continue  # the routers are the process's, and tests make several apps of them
        if isinstance(model, type) and issubclass(model, PageOut):
            [item] = get_args(model.model_fields["items"].annotation)
            shown: type[BaseModel] = item
            route.app = ListExport(route.app, list(shown.model_fields))


class ListExport:
    """Around the endpoint of a list: passes on what asks for JSON, and answers the rest from the endpoint's own pages."""

    def __init__(self, app: ASGIApp, columns: Sequence[str]) -> None:
        self._app = app
        self._columns = columns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        wanted = _wanted(query, scope["headers"])
        if wanted is None:
            await self._app(scope, receive, send)
            return
        asked = [(name, value) for name, value in query if name not in ("format", "limit", "cursor")]
        cursor = dict(query).get("cursor")
        write: Callable[[Iterable[Mapping[str, Any]]], str] = self._csv if wanted == "csv" else _ndjson
        is_begun = False
        while not is_begun or cursor is not None:
            page = [*asked, ("limit", _PAGE), *([("cursor", cursor)] if cursor is not None else [])]
            start, body = await self._page({**scope, "query_string": urlencode(page).encode()}, receive)
            if start["status"] != _OK:
                if is_begun:  # half of the list is sent: only a broken connection tells the client so
                    raise Unavailable("a page of the list could not be read")
                await send(start)
                await send({"type": "http.response.body", "body": body})
                return
            found = json.loads(body)
            if not is_begun:
                await send({"type": "http.response.start", "status": _OK, "headers": _headers(wanted, scope["path"])})
                is_begun = True
                if wanted == "csv":
                    await _send_text(send, _line(self._columns))
            cursor = found["next"]
            await _send_text(send, write(found["items"]))
            # What is sent to a client that has left is dropped without an error, and a list can have a million rows.
            if cursor is not None and await Request(scope, receive).is_disconnected():
                return
        await send({"type": "http.response.body", "body": b""})

    async def _page(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        """Return the answer of the endpoint itself: how it starts, and its body."""
        start: Message = {}
        body = bytearray()

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            else:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, keep)
        return start, bytes(body)

    def _csv(self, items: Iterable[Mapping[str, Any]]) -> str:
        return "".join([_line([_cell(item.get(name)) for name in self._columns]) for item in items])


def _wanted(query: Sequence[tuple[str, str]], headers: Sequence[tuple[bytes, bytes]]) -> Format | None:
    asked = dict(query).get("format")
    if asked is not None:
        return next((one for one in get_args(Format) if one == asked), None)
    accept = next((value.decode("latin-1") for name, value in headers if name == b"accept"), "")
    return _BY_ACCEPT.get(accept.partition(",")[0].partition(";")[0].strip().lower())


def _headers(wanted: Format, path: str) -> list[tuple[bytes, bytes]]:
    name = path.rstrip("/").rpartition("/")[2]
    return [
        (b"content-type", _MEDIA_TYPES[wanted].encode()),
        (b"content-disposition", f'attachment; filename="{name}.{wanted}"'.encode("ascii", "replace")),
        (b"vary", b"accept"),
    ]


async def _send_text(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _ndjson(items: Iterable[Mapping[str, Any]]) -> str:
    return "".join([json.dumps(item, ensure_ascii=False, separators=(",", ":")) + "\n" for item in items])


def _cell(value: object) -> str:
    """Return a value as a cell. A text that a spreadsheet would run gets a `'` in front, which spreadsheets do not show."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return _FORMULA_AFTER_CUT.sub(r"\1'", f"'{value}" if value.startswith(_FORMULA) else value)
        case _:
            return _FORMULA_AFTER_CUT.sub(r"\1'", json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
