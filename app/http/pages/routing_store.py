"""What the page Routing reads and changes, by the name of the kind: the same use cases and reads as the API."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import BaseModel

from app.admin import recipients as admin_recipients
from app.admin import routes as admin_routes
from app.admin import rules as admin_rules
from app.admin import silences as admin_silences
from app.admin import summary_schedules as admin_schedules
from app.admin.editing import Editor
from app.context import AppContext
from app.core.errors import NotFound, StaleEdit
from app.core.ids import new_id
from app.domain.alert import Rule
from app.domain.recipient import Recipient
from app.domain.route import Route, Silence
from app.domain.summary_schedule import SummarySchedule
from app.http.api.recipients import RecipientCreate
from app.http.api.routes import RouteCreate
from app.http.api.rules import RuleCreate
from app.http.api.silences import SilenceCreate
from app.http.api.summary_schedules import SummaryScheduleCreate
from app.store.repository import Window
from app.store.routing import RECIPIENTS, ROUTES, RULES, SILENCES, all_recipients, all_routes, all_rules, page_silences
from app.store.summaries import SUMMARY_SCHEDULES, page_summary_schedules
from app.store.transactions import ReadTx, WriteTx

_SHOWN = 500
_BETWEEN = 10  # positions, so that a later one fits in between by the API too
Thing = Route | Rule | Recipient | Silence | SummarySchedule


async def all_things(tx: ReadTx, kind: str, now: datetime) -> Sequence[Thing]:
    """Return the list of a kind: routes and rules in the order in which they are tried, silences without those that are over."""
    match kind:
        case "routes":
            return await all_routes(tx)
        case "rules":
            return await all_rules(tx)
        case "recipients":
            return sorted(await all_recipients(tx), key=lambda one: one.name.casefold())
        case "silences":
            current = await page_silences(tx, Window(_SHOWN), now, state="current")
            coming = await page_silences(tx, Window(_SHOWN), now, state="coming")
            return [*current.items, *coming.items]
        case _:
            return (await page_summary_schedules(tx, Window(_SHOWN))).items


async def find_thing(tx: ReadTx, kind: str, row_id: str) -> Thing:
    """Return one thing. Raises NotFound."""
    match kind:
        case "routes":
            return await ROUTES.get(tx, row_id)
        case "rules":
            return await RULES.get(tx, row_id)
        case "recipients":
            return await RECIPIENTS.get(tx, row_id)
        case "silences":
            return await SILENCES.get(tx, row_id)
        case _:
            return await SUMMARY_SCHEDULES.get(tx, row_id)


def made(context: AppContext, kind: str, model: BaseModel, before: Thing | None, by: Editor) -> Thing:
    """Return the thing that a checked form means; what a form does not show stays as it was before."""
    id_, version = ("", 1) if before is None else (before.id, before.version)
    created_at = by.at if before is None or before.created_at is None else before.created_at
    match model:
        case RouteCreate():
            return replace(model.to_route(id_, created_at), version=version)
        case RuleCreate():
            return replace(model.to_rule(id_, created_at), version=version)
        case RecipientCreate():
            follows = isinstance(before, Recipient) and before.follows_settings
            old = before.transports if isinstance(before, Recipient) else ()
            recipient = model.to_recipient(id_, created_at, context, old)
            return replace(recipient, follows_settings=follows, version=version)
        case SilenceCreate():
            who = before.created_by if isinstance(before, Silence) else by.who
            return replace(model.to_silence(id_, by.at, who), created_at=created_at, version=version)
        case SummaryScheduleCreate():
            schedule = model.to_summary_schedule(id_, created_at)
            if isinstance(before, SummarySchedule):
                schedule = replace(schedule, next_at=before.next_at, last_number=before.last_number)
            return replace(schedule, version=version)
        case _:
            raise NotFound(f"there is nothing called {kind}")


async def create_thing(tx: WriteTx, thing: Thing, by: Editor) -> None:
    """Store something new. Raises as the use case does."""
    match thing:
        case Route():
            await admin_routes.create_route(tx, replace(thing, id=new_id(ROUTES.prefix)), by)
        case Rule():
            await admin_rules.create_rule(tx, replace(thing, id=new_id(RULES.prefix)), by)
        case Recipient():
            await admin_recipients.create_recipient(tx, replace(thing, id=new_id(RECIPIENTS.prefix)), by)
        case Silence():
            await admin_silences.create_silence(tx, replace(thing, id=new_id(SILENCES.prefix)), by)
        case SummarySchedule():
            schedule = replace(thing, id=new_id(SUMMARY_SCHEDULES.prefix))
            await admin_schedules.create_summary_schedule(tx, schedule, by)


async def update_thing(tx: WriteTx, thing: Thing, by: Editor, versions: Collection[int]) -> None:
    """Store what was changed since one of these versions. Raises as the use case does."""
    match thing:
        case Route() as route:
            await admin_routes.update_route(tx, thing.id, lambda _: route, by, versions=versions)
        case Rule() as rule:
            await admin_rules.update_rule(tx, thing.id, lambda _: rule, by, versions=versions)
        case Recipient() as recipient:
            await admin_recipients.update_recipient(tx, thing.id, lambda _: recipient, by, versions=versions)
        case Silence() as silence:
            await admin_silences.update_silence(tx, thing.id, lambda _: silence, by, versions=versions)
        case SummarySchedule() as schedule:
            await admin_schedules.update_summary_schedule(
                tx,
                thing.id,
                lambda before: replace(schedule, next_at=before.next_at, last_number=before.last_number),
                by,
                versions=versions,
            )


async def delete_thing(tx: WriteTx, kind: str, row_id: str, by: Editor, versions: Collection[int]) -> None:
    """Delete a thing, or end a silence, if its version is one of these. Raises as the use case does."""
    match kind:
        case "routes":
            await admin_routes.delete_route(tx, row_id, by, versions=versions)
        case "rules":
            await admin_rules.delete_rule(tx, row_id, by, versions=versions)
        case "recipients":
            await admin_recipients.delete_recipient(tx, row_id, by, versions=versions)
        case "silences":
            await admin_silences.delete_silence(tx, row_id, by, versions=versions)
        case _:
            await admin_schedules.delete_summary_schedule(tx, row_id, by, versions=versions)


async def move_thing(
    tx: WriteTx, kind: str, row_id: str, by: Editor, versions: Collection[int], *, is_up: bool
) -> None:
    """Try a route or rule one place earlier or later. Where positions are equal, all behind get new ones. Raises NotFound, StaleEdit."""
    ordered: list[Route | Rule] = [*(await all_routes(tx) if kind == "routes" else await all_rules(tx))]
    place = next((place for place, one in enumerate(ordered) if one.id == row_id), None)
    if place is None:
        raise NotFound(f"there is nothing called {row_id}")
    if ordered[place].version not in versions:
        raise StaleEdit("somebody else changed it; read it again")
    other = place - 1 if is_up else place + 1
    if not 0 <= other < len(ordered):
        return
    positions = [one.position for one in ordered]
    if sorted(set(positions)) != positions:
        positions = [_BETWEEN * (number + 1) for number in range(len(ordered))]
    ordered[place], ordered[other] = ordered[other], ordered[place]
    for one, position in zip(ordered, positions, strict=True):
        if one.position != position:
            await update_thing(tx, replace(one, position=position), by, [one.version])
