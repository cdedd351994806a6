"""The dependencies of administrative requests: the context, and the caller. Each operation names the role that its caller needs."""

from collections.abc import Collection
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from app.admin.editing import Editor
from app.context import AppContext
from app.domain.key import KeyKind
from app.domain.person import Role
from app.http.auth import Caller, KeyAuthenticator, NeedRole


def _context_of(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


def _authenticator_of(request: Request) -> KeyAuthenticator:
    authenticator: KeyAuthenticator = request.app.state.authenticator
    return authenticator


Context = Annotated[AppContext, Depends(_context_of)]
Authenticator = Annotated[KeyAuthenticator, Depends(_authenticator_of)]
Reader = Annotated[Caller, Depends(NeedRole(Role.READER))]
Monitor = Annotated[Caller, Depends(NeedRole(Role.READER, frozenset({KeyKind.MONITOR}), is_scoped=True))]
Operator = Annotated[Caller, Depends(NeedRole(Role.OPERATOR))]
Admin = Annotated[Caller, Depends(NeedRole(Role.ADMINISTRATOR))]
Owner = Annotated[Caller, Depends(NeedRole(Role.OWNER))]
ScopedReader = Annotated[Caller, Depends(NeedRole(Role.READER, is_scoped=True))]
ScopedOperator = Annotated[Caller, Depends(NeedRole(Role.OPERATOR, is_scoped=True))]


def editor_of(context: AppContext, caller: Caller, sent: Collection[str] = ()) -> Editor:
    """Return who edits, when, and which fields were sent."""
    return Editor(caller.name, context.clock(), context.wakeups.wake, sent, caller.key_id)


class Problem(BaseModel):
    """What went wrong, as RFC 9457. `code` is stable and meant for programs, `detail` for people."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Always `about:blank`.", examples=["about:blank"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The status of the answer.", examples=[404])
    code: str = Field(description="A stable name of the error, for programs.", examples=["not_found"])
    detail: str = Field(
        description="What went wrong, for people.", examples=["there is no route rte_0193a5f2c4d10123456789abcdef0123"]
    )
    field: str | None = Field(None, description="The field that is wrong, if it is one field.")


_MEANING = {
    401: "No key, or an unknown key.",
    403: "The key does not allow this.",
    404: "It does not exist.",
    409: "Its present state does not allow this, its name is taken, or another version wrote it; `code` and `detail` say which.",
    412: "`stale_edit`: somebody else edited it in the meantime.",
    422: "What was sent breaks a rule; `field` names where.",
    503: "The service is busy, or the database cannot be reached; try again.",
}


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of the errors that an operation may answer with; `more` are those that not every operation may."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": _MEANING[status], "content": content} for status in sorted({401, 403, 422, 503, *more})
    }
