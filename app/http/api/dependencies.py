"""What every administrative request brings: the house, and who asks. Reading takes an admin or viewer key, writing an admin key."""

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from app.admin.editing import Editor
from app.context import AppContext
from app.domain.key import KeyKind
from app.http.auth import Caller, need


def _context_of(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


Context = Annotated[AppContext, Depends(_context_of)]
Reader = Annotated[Caller, Depends(need(KeyKind.ADMIN, KeyKind.VIEWER))]
Admin = Annotated[Caller, Depends(need(KeyKind.ADMIN))]


def editor_of(context: AppContext, caller: Caller) -> Editor:
    """Give who edits, and when."""
    return Editor(caller.name, context.clock(), context.wakeups.wake)


class Problem(BaseModel):
    """What went wrong, as RFC 9457. `code` is stable and meant for programs, `detail` for people."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"])
    detail: str = Field(examples=["there is no route rte_0193a5f2c4d10123456789abcdef"])
    field: str | None = Field(None, description="The field that is meant, if one is.")


_MEANING = {
    401: "No key, or one that is not known.",
    403: "The key is not good for this.",
    404: "There is no such thing.",
    409: "Its present state forbids it, or its name is taken; `detail` says why.",
    412: "`stale_edit`: somebody else edited it meanwhile.",
    422: "What was sent breaks a rule; `field` names where.",
    503: "Busy, or the database is away; try again.",
}


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """Document the problems that an operation may answer, beyond those that all may."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": _MEANING[status], "content": content} for status in sorted({401, 403, 422, 503, *more})
    }
