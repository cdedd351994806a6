"""Pages of a list: `?limit=&cursor=` in, `{"items", "next"}` out. The cursor encodes an id; what it contains may change."""

import base64
import binascii
import re
from dataclasses import replace
from typing import Annotated, Generic, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.core.errors import BadInput
from app.store.repository import Page, Window

T = TypeVar("T", bound=BaseModel)
_ID = re.compile(r"[a-z]{3}_[0-9a-f]{28}")
Cursor = Annotated[
    str | None,
    Field(max_length=100, description="The `next` of the page before; without it, the first page is returned."),
]


class Paged(BaseModel):
    """The parameters of every list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="How many things a page has at most.")
    cursor: Cursor = None

    def window(self, prefix: str) -> Window:
        """Return the page that is wanted of a list whose ids begin with `prefix`. Raises BadInput for another list's cursor."""
        if self.cursor is None:
            return Window(self.limit, None)
        padded = self.cursor + "=" * (-len(self.cursor) % 4)
        try:
            after = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            after = ""
        # A cursor of another list would skip items, or show all of them again, and nobody would notice.
        if _ID.fullmatch(after) is None or not after.startswith(f"{prefix}_"):
            raise BadInput(
                "this cursor belongs to another list; start without a cursor", code="bad_cursor", field="cursor"
            )
        return Window(self.limit, after)


class PagedByTime(Paged):
    """The parameters of every list that is ordered by time, newest first."""

    since: AwareDatetime | None = Field(
        None, description="Only what we stored at this moment or later; RFC 3339 with offset."
    )
    until: AwareDatetime | None = Field(
        None, description="Only what we stored before this moment; RFC 3339 with offset."
    )

    def window(self, prefix: str) -> Window:
        """Return the page that is wanted, within the bounds of time. Raises BadInput for another list's cursor."""
        return replace(super().window(prefix), since=self.since, until=self.until)


class PageOut(BaseModel, Generic[T]):
    """One page of a list. Each resource has a subclass: a parametrized class would get a name such as `PageOut_JobOut_` in the schema."""

    items: list[T] = Field(description="The things on this page.")
    next: str | None = Field(description="The cursor of the next page; null at the end of the list.")

    @classmethod
    def of(cls, page: Page[object]) -> Self:
        """Return a page of domain objects as the API shows it."""
        return cls.model_validate({"items": page.items, "next": cursor_of(page.next)})


def cursor_of(last_id: str | None) -> str | None:
    """Return the cursor that continues a list after an id; None where the list ends."""
    return None if last_id is None else base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")
