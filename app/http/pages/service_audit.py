"""/service/audit: who changed what, and when, with the values before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from gettext import NullTranslations
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.domain.audit_entry import AuditEntry
from app.domain.expectation import describe_expectation
from app.domain.person import Role
from app.http.api.dependencies import Context
from app.http.pages.audit_texts import ACTIONS, NOUNS
from app.http.pages.frame import render, viewer_of
from app.http.pages.languages import translations
from app.http.pages.session import SignedIn, need_everything
from app.store.edits import page_audit
from app.store.repository import Window
from app.store.row_mapping import expectation_of

router = APIRouter(include_in_schema=False)
PAGE = "/service/audit"
_SHOWN = 50
_BEFORE_AND_AFTER = 2
_TIMES = frozenset(("agents_until", "disabled_at", "ends_at", "expires_at", "previous_until", "starts_at"))
_WORDS = frozenset(("role", "outcome"))
_SCHEDULES = frozenset(("expectation", "proposed_expectation"))
_COMPARISONS = {"is": "is", "is_not": "is not", "like": "is like", "not_like": "is not like"}
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
    """One value of an entry as text or as a time. `before` None: it has no value before, because the thing was created or deleted."""

    name: str
    before: str | datetime | None
    after: str | datetime


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
    """Return the values of an entry in the reader's words. A list of two is [before, after], unless the thing was created or deleted."""
    is_edit = entry.action not in ("create", "delete")
    found = []
    for name, value in (entry.change or {}).items():
        if is_edit and isinstance(value, list) and len(value) == _BEFORE_AND_AFTER:
            found.append(ValueChange(name, _shown(name, value[0], texts), _shown(name, value[1], texts)))
        else:
            found.append(ValueChange(name, None, _shown(name, value, texts)))
    return found


def _shown(name: str, value: object, texts: NullTranslations) -> str | datetime:
    """Return a value by what its field is: a time, a schedule in words, conditions as a sentence; else as text."""
    try:
        if name in _TIMES and isinstance(value, str):
            return datetime.fromisoformat(value).astimezone(UTC)
        if name in _WORDS and isinstance(value, str):
            return texts.gettext(value) if value else "-"
        if name in _SCHEDULES and isinstance(value, Mapping) and (expected := expectation_of(value)) is not None:
            return describe_expectation(expected, texts.gettext)
        if name == "matchers" and isinstance(value, list):
            return "; ".join(_condition(one, texts) for one in value) or "-"
    except (KeyError, TypeError, ValueError):
        pass  # written by another version: it is shown as it is stored
    return _text(value, texts)


def _condition(stored: Mapping[str, str], texts: NullTranslations) -> str:
    compared = texts.gettext(_COMPARISONS[stored["test"]])
    return f"{texts.gettext(stored['field'])} {compared} {texts.gettext('“%(text)s”') % {'text': stored['value']}}"


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
