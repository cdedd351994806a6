"""Pages of a list: `?limit=&cursor=` in, `{"items", "next"}` out. The cursor is an id in disguise; what it holds may change."""

import base64
import binascii
import re
from datetime import datetime
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.core.errors import BadInput
from app.domain.record import Page, Wanted
from app.store.repository import Page as StoredPage
from app.store.repository import Window

T = TypeVar("T", bound=BaseModel)
_ID = re.compile(r"[a-z]{3}_[0-9a-f]{28}")
Cursor = Annotated[
    str | None,
    Field(max_length=100, description="The `next` of the page before; without it the list begins at its beginning."),
]


class Paged(BaseModel):
    """What every list can be asked."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="Most things on one page.")
    cursor: Cursor = None

    def window(self, prefix: str) -> Window:
        """Return the page that is wanted of a list whose ids begin with `prefix`. Raises BadInput for another list's cursor."""
        return Window(
            self.limit,
            None if self.cursor is None else _id_in(self.cursor, prefix),
            getattr(self, "since", None),
            getattr(self, "until", None),
        )


class PagedByTime(Paged):
    """What every list of happenings can be asked; the newest come first."""

    since: AwareDatetime | None = Field(
        None, description="Only what we stored at this moment or later; RFC 3339 with offset."
    )
    until: AwareDatetime | None = Field(
        None, description="Only what we stored before this moment; RFC 3339 with offset."
    )


class PageOf(BaseModel, Generic[T]):
    """One page. With filters a page may be short, even empty, while `next` leads on: each request looks at a bounded number of things."""

    items: list[T]
    next: str | None = Field(description="The cursor of the next page; null at the end.")


class PageOut(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="The things on this page.")
    next: str | None = Field(description="The cursor of the next page; null at the end of the list.")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return the name in the API description: `JobPage` for a page of `JobOut`."""
        return f"{params[0].__name__.removesuffix('Out')}Page"

    @classmethod
    def of(cls, page: StoredPage[object]) -> Self:
        """Return a page of domain objects as the API shows it."""
        return cls.model_validate({"items": page.items, "next": cursor_of(page.next)})


def cursor_of(last_id: str | None) -> str | None:
    """Return the cursor that continues a list after an id; None where the list ends."""
    return None if last_id is None else base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def wanted_of(query: Paged, noun: str, **replaced: Any) -> Wanted:  # noqa: ANN401
    """Read the query of a list of things whose ids begin with `noun`; `replaced` filters take the place of those with the same name."""
    asked = query.model_dump(exclude={"limit", "cursor", "since", "until"}, exclude_none=True) | replaced
    since: datetime | None = getattr(query, "since", None)
    until: datetime | None = getattr(query, "until", None)
    return Wanted(query.limit, None if query.cursor is None else _id_in(query.cursor, noun), since, until, asked)


def page_of(shown: type[T], page: Page) -> PageOf[T]:
    """Word a page."""
    return PageOf[shown](items=[shown.model_validate(one.fields) for one in page.items], next=cursor_of(page.next))  # type: ignore[valid-type]


def _id_in(cursor: str, noun: str) -> str:
    """Give the id. One of another list would skip what it should show, or show all anew, and nobody would notice."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if _ID.fullmatch(text) is None or not text.startswith(f"{noun}_"):
        raise BadInput("this cursor is not of this list; begin without one", code="bad_cursor", field="cursor")
    return text
