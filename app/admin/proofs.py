"""How people show who they are: password, one-time codes, recovery codes. They change their own; nobody sees or sets another's."""

import base64
import hmac
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

import pyotp

from app.admin.audit import Actor, Self, note
from app.core.errors import BadInput
from app.core.passwords import LONGEST, SHORTEST, Passwords
from app.core.secret import Secret
from app.domain.one_time_code import RECOVERY_CODES, STEP_S, read_code, read_recovery_code
from app.domain.person import Person
from app.store.people import (
    PEOPLE,
    Proofs,
    end_links,
    proofs_of,
    revoke_sessions,
    set_codes,
    set_password,
    use_code,
    use_recovery_code,
)
from app.store.transactions import ReadTx, WriteTx

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_FEWEST = 5  # different characters of a password
_AROUND = (0, -1, 1)  # steps: a phone's clock may be half a minute off


def check_password(password: str, person: Person) -> None:
    """Raise BadInput for a password that is too short, or that names the person."""
    if len(password) < SHORTEST:
        raise BadInput(f"a password must have at least {SHORTEST} characters", code="too_short", field="password")
    if len(password) > LONGEST:
        raise BadInput(f"a password must have at most {LONGEST} characters", code="too_long", field="password")
    plain = password.casefold()
    if plain in (person.email, person.name.casefold()) or len(set(plain)) < _FEWEST:
        why = f"too easy to guess: use at least {_FEWEST} different characters, and not only your name or address"
        raise BadInput(f"this password is {why}", code="too_easy", field="password")


async def change_password(tx: WriteTx, person: Person, password_hash: str, at: datetime, *, stays: str | None) -> None:
    """Store a new password and end the other sessions and unused links: whoever knew the old one is out. `stays`: the session that goes on."""
    await set_password(tx, person.id, password_hash)
    await end_links(tx, person.id)
    ended = await revoke_sessions(tx, person.id, at, but=stays)
    await note(tx, Self.of(person, at), "change password", PEOPLE.noun, person.id, {"ended_sessions": ended})


async def begin_codes(tx: WriteTx, secret: Secret, person: Person) -> str:
    """Return a new secret for one-time codes. It is asked for only once a code of it was shown to be right."""
    codes_secret = pyotp.random_base32()
    await set_codes(tx, person.id, _box(secret).encrypt(codes_secret.encode()).decode(), None, ())
    return codes_secret


async def pending_codes(tx: ReadTx, secret: Secret, person: Person) -> str | None:
    """Return the secret for one-time codes that waits for its first code."""
    proofs = await proofs_of(tx, person.id)
    return None if proofs.codes_secret is None or proofs.codes_since else _opened(secret, proofs)


async def confirm_codes(tx: WriteTx, secret: Secret, person: Person, code: str, at: datetime) -> list[str]:
    """Turn one-time codes on with the first one; return recovery codes, which nobody can see again. Raises BadInput."""
    proofs = await proofs_of(tx, person.id, for_change=True)
    step = _step_of(secret, proofs, code, at)
    if proofs.codes_since is not None or step is None:
        raise BadInput("this is not the code that the app shows now", code="wrong_code", field="code")
    letters = [base64.b32encode(secrets.token_bytes(7)).decode().lower()[:10] for _ in range(RECOVERY_CODES)]
    recovery = [f"{text[:5]}-{text[5:]}" for text in letters]
    await set_codes(tx, person.id, proofs.codes_secret, at, [_hash(secret, one) for one in recovery])
    await use_code(tx, person.id, step)
    await note(tx, Self.of(person, at), "turn on codes", PEOPLE.noun, person.id, None)
    return recovery


async def end_codes(tx: WriteTx, person: Person, by: Actor) -> None:
    """Turn one-time codes off."""
    await set_codes(tx, person.id, None, None, ())
    await note(tx, by, "turn off codes", PEOPLE.noun, person.id, None)


async def is_code_right(tx: WriteTx, secret: Secret, person_id: str, code: str, at: datetime) -> bool:
    """Say whether a code, or a recovery code, is right, and use it up: none is accepted twice. True where none is needed."""
    proofs = await proofs_of(tx, person_id, for_change=True)
    if proofs.codes_since is None:
        return True
    step = _step_of(secret, proofs, code, at)
    if step is not None:
        await use_code(tx, person_id, step)
        return True
    recovery = read_recovery_code(code)
    if recovery is None:
        return False
    hashed = _hash(secret, recovery)
    left = [one for one in proofs.recovery_hashes if not hmac.compare_digest(one, hashed)]
    if len(left) == len(proofs.recovery_hashes):
        return False
    await use_recovery_code(tx, person_id, left)
    return True


async def is_password_right(passwords: Passwords, proofs: Proofs | None, password: str) -> bool:
    """Say whether a password is right; it takes the same time for somebody who has none."""
    return await passwords.matches(None if proofs is None else proofs.password_hash, password[:LONGEST])


def _step_of(secret: Secret, proofs: Proofs, text: str, at: datetime) -> int | None:
    """Return the step of a right code that is newer than the last one used."""
    code, codes_secret = read_code(text), _opened(secret, proofs)
    if code is None or codes_secret is None:
        return None
    totp, now = pyotp.TOTP(codes_secret), int(at.timestamp()) // STEP_S
    around = (now + offset for offset in _AROUND)
    fitting = [step for step in around if hmac.compare_digest(totp.at(step * STEP_S), code)]
    newer = [step for step in fitting if proofs.codes_step is None or step > proofs.codes_step]
    return newer[0] if newer else None


def _hash(secret: Secret, recovery: str) -> str:
    return secret.hash_key(f"recovery:{recovery}")


def _box(secret: Secret) -> "Fernet":
    # Its library takes 7 MiB, and a service at rest has no use for it.
    from cryptography.fernet import Fernet  # noqa: PLC0415

    return Fernet(base64.urlsafe_b64encode(secret.derive("one-time codes")))


def _opened(secret: Secret, proofs: Proofs) -> str | None:
    """Return the secret of the codes; None if it was encrypted under another server secret."""
    if proofs.codes_secret is None:
        return None
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  (see _box)

    try:
        return _box(secret).decrypt(proofs.codes_secret.encode()).decode()
    except InvalidToken:
        return None
