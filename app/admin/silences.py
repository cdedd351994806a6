"""Silences: one-off mutes that end by themselves. A deletion ends one now and keeps it, so that history stays explained."""

from datetime import datetime, timedelta

from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer
from app.core.errors import BadInput, Conflict
from app.domain.record import Record
from app.store.notices import judge_muted_again
from app.store.silences import SILENCES
from app.store.transactions import WriteTx

LONGEST = timedelta(days=366)  # what is muted for longer is forgotten, and then a failure goes unheard


async def _prepare(tx: WriteTx, values: Values, before: Record | None, by: Editor) -> Values:
    if before is not None and before.fields["ends_at"] <= by.at:
        raise Conflict("the silence has ended; make a new one", code="ended")
    await check_customer(tx, values.get("customer_id"))
    whole = {**(before.fields if before else {}), **values}
    starts_at = whole["starts_at"] or by.at
    _check_span(starts_at, whole["ends_at"], by)
    await judge_muted_again(tx, by.at)
    tx.after_commit(lambda: by.wake("events"))  # decide judges what was muted
    return {**values, "starts_at": starts_at, **({} if before else {"created_by": by.who})}


def _check_span(starts_at: datetime, ends_at: datetime, by: Editor) -> None:
    if ends_at <= by.at:
        raise BadInput("must lie ahead", code="bad_span", field="ends_at")
    if ends_at <= starts_at:
        raise BadInput("must be after starts_at", code="bad_span", field="ends_at")
    if ends_at - starts_at > LONGEST:
        raise BadInput("a silence lasts one year at most", code="bad_span", field="ends_at")


async def _end_now(tx: WriteTx, silence: Record, by: Editor) -> None:
    if silence.fields["ends_at"] <= by.at:
        return
    starts_at = min(silence.fields["starts_at"], by.at)
    await SILENCES.change(tx, silence.id, {"starts_at": starts_at, "ends_at": by.at})
    await judge_muted_again(tx, by.at)
    tx.after_commit(lambda: by.wake("events"))  # decide judges what was muted


NOUN = Noun("silence", SILENCES, _prepare, _end_now, is_kept=True)
