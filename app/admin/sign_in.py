"""Signing in by a link or a password: a person who has shown who they are gets a session. Each has its audit entry."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.admin.audit import Self, note
from app.admin.editing import Editor
from app.admin.people import NewPerson, add_first_owner, add_person, hash_of_link
from app.admin.proofs import is_code_right, is_password_right
from app.admin.sessions import Browser, open_session, prove_again
from app.context import AppContext
from app.core.errors import NotAllowed, NotFound, TooManyTries
from app.core.ids import new_id
from app.core.log import log
from app.core.networks import sender_of
from app.core.passwords import Passwords
from app.domain.console_link import PURPOSE, read_console_link
from app.domain.one_time_link import LinkPurpose, OneTimeLink
from app.domain.person import Person
from app.domain.session import Session, SignInWay
from app.domain.sign_in_delay import FREE, FREE_OF_ADDRESS, wait_until
from app.store.people import (
    PEOPLE,
    count_failure,
    end_links,
    failures_of,
    find_by_email,
    find_link,
    forget_failures,
    forget_old_failures,
    insert_link,
    proofs_of,
    take_back_failure,
    use_link,
)
from app.store.transactions import ReadTx, WriteTx

_UNKNOWN = "names that nobody has"


@dataclass(frozen=True, slots=True)
class PasswordTry:
    """What somebody typed. `known_browser`: the mark of a browser that has signed in under this name before."""

    email: str
    password: str
    code: str
    known_browser: str | None = None


@dataclass(frozen=True, slots=True)
class LinkOffer:
    """What a link does: it signs in `person`, or adds `new` and signs that person in; neither: the first owner, who is asked for a name."""

    purpose: LinkPurpose
    person: Person | None = None
    new: NewPerson | None = None
    link_id: str | None = None  # None: nothing is stored of it until it is used
    until: datetime | None = None


async def read_link(tx: ReadTx, context: AppContext, token: str) -> LinkOffer:
    """Return what a link does. Raises NotFound for one that is unknown, used or too old."""
    now = context.clock()
    found = await find_link(tx, hashed := hash_of_link(context.secret, token))
    offer: LinkOffer | None = None
    if found is not None and hmac.compare_digest(found[1], hashed) and not found[0].is_over(now):
        link = found[0]
        person = None if link.person_id is None else await PEOPLE.find(tx, link.person_id)
        if (person is None) == (link.purpose is LinkPurpose.FIRST):
            offer = LinkOffer(link.purpose, person, link_id=link.id, until=link.expires_at)
    elif found is None:
        offer = await _read_console_link(tx, context, token, now)
    if offer is None or (offer.person is not None and offer.person.disabled_at is not None):
        raise _over()
    return offer


async def _read_console_link(tx: ReadTx, context: AppContext, token: str, now: datetime) -> LinkOffer | None:
    console = read_console_link(context.secret.derive(PURPOSE), token)
    if console is None or now >= console.until:
        return None
    person = await find_by_email(tx, console.email)
    if person is not None:
        return LinkOffer(LinkPurpose.RESET, person, until=console.until)
    if console.role is None:
        return None
    new = NewPerson(console.name, console.email, console.role, console.customers)
    return LinkOffer(LinkPurpose.INVITE, new=new, until=console.until)


async def sign_in_by_link(
    tx: WriteTx, context: AppContext, token: str, browser: Browser, *, first_name: str, first_email: str
) -> tuple[Person, str]:
    """Use a link; return its person and the token of a session. The first link makes the first owner. Raises NotFound, BadInput."""
    offer = await read_link(tx, context, token)
    at = context.clock()
    person = offer.person
    if person is None:
        by = Editor(first_name if offer.new is None else "command line", at, context.wakeups.wake)
        if offer.new is None:
            person = await add_first_owner(tx, first_name, first_email, by)
        else:
            person = await add_person(tx, offer.new, by)
    if offer.link_id is not None:
        if not await use_link(tx, offer.link_id, at):
            raise _over()
    else:
        used = OneTimeLink(new_id("otl"), offer.purpose, person.id, at, offer.until or at, used_at=at)
        await insert_link(tx, used, hash_of_link(context.secret, token))
    await end_links(tx, person.id)  # an invitation lasts for days, and needs no code
    return person, await open_session(tx, context.secret, person, SignInWay.LINK, browser, at)


async def sign_in_by_password(
    context: AppContext, passwords: Passwords, tried: PasswordTry, browser: Browser
) -> tuple[Person, str]:
    """Check name, password and code; return the person and the token of a session. Raises NotAllowed, and TooManyTries.

    A wrong name, password and code have the same answer, in the same time: nobody learns which names there are.
    """
    person = await _check(context, passwords, tried, browser)
    at = context.clock()
    async with context.database.write() as tx:
        return person, await open_session(tx, context.secret, person, SignInWay.PASSWORD, browser, at)


async def prove_by_password(
    context: AppContext, passwords: Passwords, tried: PasswordTry, browser: Browser, session: Session
) -> str:
    """Check name, password and code of somebody who is signed in; return the session's new token. Raises as `sign_in_by_password`."""
    person = await _check(context, passwords, tried, browser)
    async with context.database.write() as tx:
        await note(tx, Self.of(person, context.clock()), "prove again", PEOPLE.noun, person.id, {"session": session.id})
        return await prove_again(tx, context.secret, session, context.clock())


async def _check(context: AppContext, passwords: Passwords, tried: PasswordTry, browser: Browser) -> Person:
    email, sender = tried.email.strip().lower()[:500], sender_of(browser.address or "")
    # Under what a try is counted, each with how many are free.
    if tried.known_browser is not None:
        subjects = {context.secret.hash_key(f"browser:{tried.known_browser}:{email}"): FREE}
    else:
        subjects = {
            context.secret.hash_key(f"pair:{sender}:{email}"): FREE,
            context.secret.hash_key(f"address:{sender}"): FREE_OF_ADDRESS,
        }
    async with context.database.read() as tx:  # who is refused must not keep those waiting who write
        await _refuse_too_fast(tx, subjects, context.clock())
    async with context.database.write() as tx:
        # Counted before the password is checked, and taken back if it was right: tries at the same time must not all be the first.
        await _refuse_too_fast(tx, subjects, context.clock())
        await forget_old_failures(tx, context.clock())
        await count_failure(tx, subjects, context.clock())
        person = await find_by_email(tx, tried.email)
        proofs = await proofs_of(tx, "" if person is None else person.id)
    is_right = await is_password_right(passwords, proofs, tried.password)
    async with context.database.write() as tx:
        at = context.clock()
        may = is_right and person is not None and person.disabled_at is None
        if person is not None and may and await is_code_right(tx, context.secret, person.id, tried.code, at):
            await forget_failures(tx, [subject for subject, free in subjects.items() if free == FREE])
            await take_back_failure(tx, subjects)
            return person
        if person is not None:
            await note(tx, Self("somebody", at), "failed sign-in", PEOPLE.noun, person.id, {"address": browser.address})
        else:
            # One row as well, so that the answer takes as long, but always the same one: anybody could fill the audit log with names.
            await count_failure(tx, [_UNKNOWN], at)
    log.warning("a sign-in failed", address=browser.address, known=person is not None)
    raise NotAllowed("the address, the password or the code is wrong", code="sign_in_failed")


async def _refuse_too_fast(tx: ReadTx, subjects: Mapping[str, int], now: datetime) -> None:
    for subject, failures in (await failures_of(tx, subjects, now)).items():
        until = wait_until(failures.count, failures.last_at, subjects[subject])
        if until > now:
            refused = TooManyTries("too many tries from here: wait a little, then try again")
            refused.retry_after = max(1, round((until - now).total_seconds()))
            raise refused


def _over() -> NotFound:
    return NotFound("this link was used, has ended, or was never valid", code="link_over")
