"""/service/audit: who changed what, and when, with the values before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from gettext import NullTranslations
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.domain.audit_entry import AuditEntry
from app.domain.person import Role
from app.http.api.dependencies import Context
from app.http.pages.audit_texts import ACTIONS, NOUNS
from app.http.pages.frame import render, viewer_of
from app.http.pages.languages import translations
from app.http.pages.session import SignedIn, need_everything
from app.store.edits import page_audit
from app.store.repository import Window

router = APIRouter(include_in_schema=False)
PAGE = "/service/audit"
_SHOWN = 50
_BEFORE_AND_AFTER = 2
Administrator = Annotated[SignedIn, Depends(need_everything(Role.ADMINISTRATOR))]


class AuditAsked(BaseModel):
    """What the address of the page asks for. `after` is the last id of the page before."""

    who: Annotated[str, Query(max_length=200)] = ""
    action: Annotated[str, Query(max_length=40)] = ""
    noun: Annotated[str, Query(max_length=40)] = ""
    thing: Annotated[str, Query(max_length=40)] = ""
    after: Annotated[str, Query(max_length=40)] = ""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value of an entry as text. `before` None: it has no value before, because the thing was created or deleted."""

    name: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry with its values."""

    entry: AuditEntry
    values: Sequence[ValueChange]


@router.get(PAGE)
async def show_audit(
    request: Request, context: Context, who: Administrator, asked: Annotated[AuditAsked, Query()]
) -> HTMLResponse:
    """Show the newest entries that meet the filters."""
    async with context.database.read() as tx:
        page = await page_audit(
            tx,
            Window(_SHOWN, after=asked.after or None),
            who=asked.who.strip() or None,
            action=asked.action or None,
            noun=asked.noun or None,
            thing_id=asked.thing.strip() or None,
        )
    texts = translations(viewer_of(request, context, who).language)
    return render(
        request,
        context,
        who,
        "service_audit.html",
        place="service",
        asked=asked,
        actions=ACTIONS,
        nouns=NOUNS,
        rows=[AuditRow(entry, values_of(entry, texts)) for entry in page.items],
        next=page.next,
    )


def values_of(entry: AuditEntry, texts: NullTranslations) -> list[ValueChange]:
    """Return the values of an entry, with yes and no in the reader's language. A list of two is [before, after], unless the thing was created or deleted."""
    is_edit = entry.action not in ("create", "delete")
    found = []
    for name, value in (entry.change or {}).items():
        if is_edit and isinstance(value, list) and len(value) == _BEFORE_AND_AFTER:
            found.append(ValueChange(name, _text(value[0], texts), _text(value[1], texts)))
        else:
            found.append(ValueChange(name, None, _text(value, texts)))
    return found


def _text(value: object, texts: NullTranslations) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return texts.gettext("yes") if value else texts.gettext("no")
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(one, texts)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(_text(one, texts) for one in value) or "-"
    return str(value)
