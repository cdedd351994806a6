"""Adds list, get, create, patch and delete for a noun: the one way in which managed things appear over HTTP.

What a noun is and which rules it has is said in its own file beside this one, and in `manage`.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import PydanticUndefined
from starlette.datastructures import State
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import editing
from app.admin.editing import Noun
from app.domain.record import Record
from app.http.api.dependencies import Admin, Context, editor_of, problems
from app.http.api.fields import PathId, StrictModel
from app.http.api.readable import Readable, add, add_get, add_list, as_asked, show, takes
from app.http.etag import IfMatch
from app.http.paging import Paged


def _nothing(_state: State) -> None:
    return


@dataclass(frozen=True, slots=True)
class Editable:
    """A noun as HTTP shows it. `edit` has what can be changed; `given`, its subclass, what is said at creation too."""

    path: str  # the plural, as in /v1/<path>
    noun: Noun
    query: type[Paged]
    given: type[BaseModel]
    edit: type[BaseModel]
    shown: type[BaseModel]
    deletion: str = "Deletes it; 409 says what still refers to it."
    filters: Callable[[Any, datetime], dict[str, Any]] = as_asked
    once_deleted: Callable[[State], None] = _nothing  # what this process remembers of it and must forget


def router_of(api: Editable) -> APIRouter:
    """Make a router with the five operations."""
    router = APIRouter(prefix=f"/v1/{api.path}", tags=[api.path])
    add_to(router, api)
    return router


def add_to(router: APIRouter, api: Editable) -> None:
    """Add the five operations, after those whose address `/{thing_id}` would take for an id."""
    readable = Readable(api.path, api.noun.name, api.noun.records, api.query, api.shown, api.shown, filters=api.filters)
    add_list(router, readable)
    add_get(router, readable)
    _add_creation(router, api)
    _add_changes(router, api)


def _add_creation(router: APIRouter, api: Editable) -> None:
    async def create(given: Any, response: Response, context: Context, caller: Admin) -> Any:  # noqa: ANN401
        async with context.database.write() as tx:
            made = await editing.create(tx, api.noun, given.model_dump(), editor_of(context, caller))
        response.headers["Location"] = f"/v1/{api.path}/{made.id}"
        return show(api.shown, made, response)

    takes(create, "given", api.given)
    add(router, "POST", "", create, f"Create a {api.noun.name}", api.shown, problems(409), HTTP_201_CREATED)


def _add_changes(router: APIRouter, api: Editable) -> None:
    noun, edit = api.noun, api.edit

    async def patch(
        thing_id: PathId,
        given: Any,  # noqa: ANN401
        response: Response,
        context: Context,
        caller: Admin,
        versions: IfMatch,
    ) -> Any:  # noqa: ANN401
        """Replace the fields given, and leave the others as they are."""
        async with context.database.write() as tx:
            before = await editing.get(tx, noun, thing_id, versions=versions)
            whole = _merged(edit, before, given)
            changed = await editing.change(tx, noun, before, whole, editor_of(context, caller))
        return show(api.shown, changed, response)

    async def delete(thing_id: PathId, request: Request, context: Context, caller: Admin, versions: IfMatch) -> None:
        async with context.database.write() as tx:
            thing = await editing.get(tx, noun, thing_id, versions=versions)
            await editing.remove(tx, noun, thing, editor_of(context, caller))
            tx.after_commit(lambda: api.once_deleted(request.app.state))

    delete.__doc__ = api.deletion
    takes(patch, "given", _patch_of(edit))
    add(router, "PATCH", "/{thing_id}", patch, f"Change a {noun.name}", api.shown, problems(404, 409, 412))
    add(
        router,
        "DELETE",
        "/{thing_id}",
        delete,
        f"Delete a {noun.name}",
        None,
        problems(404, 409, 412),
        HTTP_204_NO_CONTENT,
    )


def _merged(edit: type[BaseModel], before: Record, given: BaseModel) -> dict[str, Any]:
    """Check the whole as it will be: a rule that spans two fields must hold when one of them is edited."""
    present = {name: before.fields[name] for name in edit.model_fields}
    try:
        return edit.model_validate(present | given.model_dump(exclude_unset=True)).model_dump()
    except ValidationError as wrong:
        raise RequestValidationError(wrong.errors()) from wrong


def _patch_of(edit: type[BaseModel]) -> type[BaseModel]:
    """Make the model of a patch: the same fields, all optional; null stays what it means for the field."""
    fields: dict[str, Any] = {}
    for name, info in edit.model_fields.items():
        optional = copy(info)
        optional.default, optional.default_factory = PydanticUndefined, _left_out
        fields[name] = (info.annotation, optional)
    name = edit.__name__.removesuffix("In").removesuffix("Edit") + "Patch"
    return create_model(name, __base__=StrictModel, __doc__="The fields to replace; what is left out stays.", **fields)


def _left_out() -> None:
    """Stand for a field that was not sent; never read, for only fields that were sent are."""
