"""Sign-in by an identity provider: which person somebody is here, and what their groups at the provider grant them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.admin.audit import Self, note
from app.admin.editing import Editor, save
from app.admin.people import NewPerson, add_person, read_email
from app.admin.sessions import Browser, open_session, prove_again
from app.context import AppContext
from app.core.errors import BadInput, NotAllowed
from app.core.log import log
from app.core.oidc_settings import GroupGrant, OidcSettings, grant_for
from app.domain.identity import Identity
from app.domain.person import Person, Role
from app.domain.session import Session, SignInWay
from app.store.customers import ids_of_customers
from app.store.people import (
    PEOPLE,
    end_links,
    external_id_of,
    find_by_email,
    find_by_external_id,
    revoke_sessions,
    set_external_id,
)
from app.store.transactions import WriteTx

_NAME_LONGEST = 200
_CLOCKS_DIFFER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why somebody may not sign in although the provider confirmed who they are. `code` is for the page that shows it."""

    code: str
    detail: str


async def sign_in_by_provider(
    context: AppContext, settings: OidcSettings, identity: Identity, browser: Browser
) -> tuple[Person, str]:
    """Return the person that the provider named, with the rights that their groups grant now, and the token of a session.

    Raises NotAllowed. Somebody who is no longer in any of the groups is signed out everywhere.
    """
    at = context.clock()
    async with context.database.write() as tx:
        by = Editor("identity provider", at, context.wakeups.wake)
        found = await _find_person(tx, settings, identity, by)
        if isinstance(found, Person):
            proved_at = at if identity.auth_time is None else min(at, _time(identity.auth_time))
            token = await open_session(tx, context.secret, found, SignInWay.PROVIDER, browser, at, proved_at=proved_at)
            return found, token
    log.warning("a sign-in by the identity provider was refused", cause=found.detail, address=browser.address)
    raise NotAllowed(found.detail, code=found.code)


async def prove_by_provider(
    context: AppContext, identity: Identity, person: Person, session: Session, began_at: datetime
) -> str:
    """Return the new token of a session whose person signed in at the provider again since `began_at`. Raises NotAllowed."""
    at = context.clock()
    async with context.database.write() as tx:
        is_same = await external_id_of(tx, person.id) == identity.external_id
        if not is_same or identity.auth_time is None or _time(identity.auth_time) < began_at - _CLOCKS_DIFFER:
            raise NotAllowed("the identity provider did not ask again who you are", code="provider_refused")
        change = {"session": session.id, "way": SignInWay.PROVIDER.value}
        await note(tx, Self.of(person, at), "prove again", PEOPLE.noun, person.id, change)
        return await prove_again(tx, context.secret, session, at)


async def allow_link(tx: WriteTx, person_id: str, by: Editor) -> None:
    """Allow the next sign-in by the identity provider with this person's address to be linked to this person. Ends an earlier link. Raises NotFound."""
    person = await PEOPLE.get(tx, person_id)
    await set_external_id(tx, person_id, _may_link(person_id))
    await note(tx, by, "allow link", PEOPLE.noun, person.id, {"email": person.email})


async def end_link(tx: WriteTx, person_id: str, by: Editor) -> None:
    """Remove the link between a person and the identity provider, and sign the person out. Raises NotFound."""
    person = await PEOPLE.get(tx, person_id)
    await set_external_id(tx, person_id, None)
    await revoke_sessions(tx, person_id, by.at)
    await note(tx, by, "end link", PEOPLE.noun, person.id, None)


def is_linked(external_id: str | None) -> bool:
    """Say whether a person has signed in by the identity provider."""
    return external_id is not None and not external_id.startswith(_may_link(""))


def _may_link(person_id: str) -> str:
    return f"may link {person_id}"  # no issuer has this form, and no two people have the same


async def _find_person(tx: WriteTx, settings: OidcSettings, identity: Identity, by: Editor) -> Person | _Refusal:
    person = await find_by_external_id(tx, identity.external_id)
    grant = grant_for(settings.grants, identity.groups)
    customers = None if grant is None else await _customers_of(tx, grant)
    if settings.grants and (grant is None or customers == ()):
        if person is not None:
            ended = await revoke_sessions(tx, person.id, by.at)
            await end_links(tx, person.id)
            change = {"ended_sessions": ended, "groups": list(identity.groups)[:20]}
            await note(tx, by, "refuse sign-in", PEOPLE.noun, person.id, change)
        return _Refusal("provider_no_group", "no group of this person may sign in here")
    if person is None:
        found = await _link(tx, settings, identity, by)
        if found is None and settings.lets_new_in and grant is not None and identity.email:
            found = await _add(tx, identity, grant, customers, by)
        if found is None:
            return _Refusal("provider_unknown", "no person here is linked to this account of the identity provider")
        if isinstance(found, _Refusal):
            return found
        person = found
    if person.disabled_at is not None:
        return _Refusal("provider_unknown", "this person may not sign in")
    if grant is None:
        return person
    # This also removes the last owner: somebody who is no owner at the provider must not stay one here. `tocsin people` on the host adds another.
    after = replace(person, role=Role(grant.role), customers=customers)
    return await save(tx, PEOPLE, person, after, by) if PEOPLE.edits(person, after) else person


async def _link(tx: WriteTx, settings: OidcSettings, identity: Identity, by: Editor) -> Person | _Refusal | None:
    """Return the person with the e-mail of somebody who signs in for the first time, if the link is allowed."""
    person = None if identity.email is None else await find_by_email(tx, identity.email)
    if person is None:
        return None
    before = await external_id_of(tx, person.id)
    is_allowed = before == _may_link(person.id) and identity.is_email_verified is not False
    if not is_allowed and not (before is None and settings.links_by_email and identity.is_email_verified is True):
        return _Refusal(
            "provider_not_linked", "a person with this e-mail exists, and an owner has not allowed the link"
        )
    await set_external_id(tx, person.id, identity.external_id)
    await note(tx, by, "link", PEOPLE.noun, person.id, {"external_id": identity.external_id})
    return person


async def _add(
    tx: WriteTx, identity: Identity, grant: GroupGrant, customers: tuple[str, ...] | None, by: Editor
) -> Person | _Refusal:
    email = identity.email or ""
    name = " ".join("".join(c for c in identity.name or "" if c.isprintable()).split())[:_NAME_LONGEST]
    try:
        person = await add_person(tx, NewPerson(name or read_email(email), email, Role(grant.role), customers), by)
    except BadInput as wrong:
        return _Refusal("provider_unknown", f"the provider's {wrong.field} cannot be used: {wrong.detail}")
    await set_external_id(tx, person.id, identity.external_id)
    return person


async def _customers_of(tx: WriteTx, grant: GroupGrant) -> tuple[str, ...] | None:
    """Return the ids of the customers that a grant names; None: every customer. Names that match no customer grant nothing."""
    if grant.customers is None:
        return None
    ids: Sequence[str] = await ids_of_customers(tx, grant.customers)
    if len(ids) < len(grant.customers):
        log.warning("TOCSIN_OIDC_GROUPS names a customer that does not exist", group=grant.group)
    return tuple(ids)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(max(0, min(seconds, 253_402_300_799)), UTC)
