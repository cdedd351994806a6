"""What owners do to people: they are added, changed, and get links that sign them in once. Each change has its audit entry."""

import secrets
from dataclasses import dataclass, replace

from app.admin.audit import note
from app.admin.editing import Editor, lock, save
from app.admin.editing import insert as insert_edited
from app.admin.references import check_customer
from app.core.errors import BadInput, Conflict, NotFound
from app.core.ids import new_id
from app.core.secret import Secret
from app.domain.one_time_link import LASTS, LinkPurpose, OneTimeLink
from app.domain.person import Person, Role
from app.store.people import (
    PEOPLE,
    count_owners,
    end_links,
    find_by_email,
    insert_link,
    is_anybody_there,
    revoke_sessions,
)
from app.store.transactions import WriteTx

_EMAIL_LONGEST, _NAME_LONGEST = 254, 200


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A person to add. `customers` None means every customer."""

    name: str
    email: str
    role: Role
    customers: tuple[str, ...] | None = None


async def add_person(tx: WriteTx, wanted: NewPerson, by: Editor) -> Person:
    """Add a person, who cannot sign in yet: a link or the identity provider comes next. Raises BadInput, Conflict."""
    email = read_email(wanted.email)
    if await find_by_email(tx, email) is not None:
        raise Conflict(f"a person with the address {email} already exists", code="email_taken", field="email")
    person = Person(
        id=new_id("per"),
        name=read_name(wanted.name),
        email=email,
        role=wanted.role,
        created_at=by.at,
        customers=await check_customers(tx, wanted.role, wanted.customers),
    )
    return await insert_edited(tx, PEOPLE, person, by)


async def change_person(
    tx: WriteTx, person_id: str, by: Editor, *, role: Role, customers: tuple[str, ...] | None, is_disabled: bool
) -> Person:
    """Change what a person may do. It holds from the next request on. Raises NotFound, BadInput, and Conflict for the last owner."""
    await count_owners(tx)  # locks them first, in one order for all requests
    before = await lock(tx, PEOPLE, person_id)
    after = replace(
        before,
        role=role,
        customers=await check_customers(tx, role, customers),
        disabled_at=(before.disabled_at or by.at) if is_disabled else None,
    )
    if PEOPLE.edits(before, after):
        await save(tx, PEOPLE, before, after, by)
        if await count_owners(tx) == 0:
            raise Conflict("this is the last owner: make another person an owner first", code="last_owner")
        if is_disabled:
            await revoke_sessions(tx, person_id, by.at)
            await end_links(tx, person_id)  # allowed in again, nobody must come in by an old one
    return after


async def make_link(tx: WriteTx, secret: Secret, purpose: LinkPurpose, person_id: str | None, by: Editor) -> str:
    """Return the token of a new link that signs a person in, once. Earlier links of the same kind end. Raises NotFound."""
    if person_id is not None:
        person = await PEOPLE.get(tx, person_id)
        if person.disabled_at is not None:
            raise Conflict("this person may not sign in: allow it first", code="disabled")
    token = secrets.token_urlsafe(32)
    link = OneTimeLink(new_id("otl"), purpose, person_id, by.at, by.at + LASTS[purpose])
    await insert_link(tx, link, hash_of_link(secret, token))
    if person_id is not None:
        await note(tx, by, "make link", PEOPLE.noun, person_id, {"purpose": purpose.value})
    return token


async def add_first_owner(tx: WriteTx, name: str, email: str, by: Editor) -> Person:
    """Add the person of the first link. Raises Conflict if there is anybody already."""
    if await is_anybody_there(tx):
        raise Conflict(
            "this link is for the first person only, and there is one already: sign in, or ask an owner for a link",
            code="not_first",
        )
    return await add_person(tx, NewPerson(name, email, Role.OWNER), by)


async def end_sessions(tx: WriteTx, person_id: str, by: Editor) -> int:
    """Sign a person out everywhere, and end their unused links; return how many sessions ended. Raises NotFound."""
    person = await PEOPLE.find(tx, person_id)
    if person is None:
        raise NotFound(f"there is no person {person_id}")
    ended = await revoke_sessions(tx, person_id, by.at)
    await end_links(tx, person_id)
    await note(tx, by, "end sessions", PEOPLE.noun, person_id, {"sessions": ended})
    return ended


def hash_of_link(secret: Secret, token: str) -> str:
    """Return what is stored of a link's token."""
    return secret.hash_key(f"link:{token}")


def read_email(text: str) -> str:
    """Return an address as it is stored. Raises BadInput."""
    email = text.strip().lower()
    local, at, domain = email.partition("@")
    if (
        not (local and at and domain)
        or len(email) > _EMAIL_LONGEST
        or any(c.isspace() or c in "<>@" for c in local + domain)
    ):
        raise BadInput("this is not an e-mail address", field="email")
    return email


def read_name(text: str) -> str:
    """Return a name as it is stored. Raises BadInput."""
    name = " ".join(text.split())
    if not name or len(name) > _NAME_LONGEST or not name.isprintable():
        raise BadInput(f"a name must have 1 to {_NAME_LONGEST} characters", field="name")
    return name


async def check_customers(tx: WriteTx, role: Role, customers: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the customers of a role as they are stored. Raises BadInput."""
    if customers is None:
        return None
    if role is Role.OWNER:
        # An owner decides who signs in: one who is bound to a customer could let others see more than that.
        raise BadInput("an owner sees every customer: choose all customers, or another role", field="customers")
    if not customers:
        raise BadInput("choose at least one customer", field="customers")
    for customer_id in customers:
        await check_customer(tx, customer_id)
    return tuple(dict.fromkeys(customers))
