"""Adds list and get for a noun: the one way in which things can be looked at over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from app.core.errors import NotFound
from app.domain.record import Record
from app.http.api.dependencies import Context, Reader, problems
from app.http.api.fields import PathId
from app.http.etag import put_etag
from app.http.paging import Paged, PageOf, page_of, wanted_of
from app.store.records import Records


def as_asked(_query: Any, _now: datetime) -> dict[str, Any]:  # noqa: ANN401
    """Filter by what was asked and nothing else."""
    return {}


@dataclass(frozen=True, slots=True)
class Readable:
    """A noun that can be looked at: `line` is what a list shows of each, `shown` one as a whole."""

    path: str  # the plural, as in /v1/<path>
    name: str
    records: Records
    query: type[Paged]
    line: type[BaseModel]
    shown: type[BaseModel]
    filters: Callable[[Any, datetime], dict[str, Any]] = as_asked  # those that need the present moment


def add_list(router: APIRouter, api: Readable) -> None:
    """Add GET /v1/<path>."""

    async def list_them(query: Any, context: Context, _caller: Reader) -> Any:  # noqa: ANN401
        wanted = wanted_of(query, api.records.noun, **api.filters(query, context.clock()))
        async with context.database.read() as tx:
            return page_of(api.line, await api.records.page(tx, wanted))

    takes(list_them, "query", Annotated[api.query, Query()])
    page: Any = PageOf[api.line]  # type: ignore[name-defined]
    add(router, "GET", "", list_them, f"List {words(api.path)}", page, problems())


def add_get(router: APIRouter, api: Readable) -> None:
    """Add GET /v1/<path>/{id}."""

    async def get_one(thing_id: PathId, response: Response, context: Context, _caller: Reader) -> Any:  # noqa: ANN401
        async with context.database.read() as tx:
            found = await api.records.find(tx, thing_id)
        if found is None:
            raise NotFound(f"there is no {api.name} {thing_id}")
        return show(api.shown, found, response)

    add(router, "GET", "/{thing_id}", get_one, f"Get one {api.name}", api.shown, problems(404))


def show(shown: type[BaseModel], thing: Record, response: Response) -> BaseModel:
    """Word one thing, with its ETag if it can be edited."""
    if thing.version:
        put_etag(response, thing.version)
    return shown.model_validate(thing.fields)


def words(path: str) -> str:
    """Give a path's noun as people write it."""
    return path.replace("-", " ")


def takes(operation: Callable[..., Any], name: str, model: Any) -> None:  # noqa: ANN401
    """Say what an argument is where only the noun knows: FastAPI reads it when the route is added."""
    operation.__annotations__[name] = model


def add(
    router: APIRouter,
    method: str,
    path: str,
    operation: Callable[..., Any],
    summary: str,
    model: Any,  # noqa: ANN401
    answers: dict[int | str, dict[str, Any]],
    status: int = 200,
) -> None:
    """Add one operation under a name of its own."""
    verb = operation.__name__.partition("_")[0]
    router.add_api_route(
        path,
        operation,
        methods=[method],
        summary=summary,
        response_model=model,
        responses=answers,
        status_code=status,
        operation_id=f"{verb}_{router.tags[0]}".replace("-", "_"),
    )
