"""How a relay gets its key: an administrator has a one-time code made, and the relay exchanges it from its host."""

from app.admin import editing, keys
from app.admin.audit import note
from app.admin.editing import Editor
from app.core.secret import Secret
from app.domain.key import KeyKind
from app.domain.relay import Relay
from app.domain.setup_code import TRIES, VALID_FOR, SetupCode, name_of, new_code, read_code
from app.store.relays import (
    RELAYS,
    count_failed_try,
    delete_setup_code,
    find_setup_code,
    put_setup_code,
    revoke_keys_of_relay,
)
from app.store.transactions import WriteTx


async def create_setup_code(tx: WriteTx, secret: Secret, relay_id: str, by: Editor) -> tuple[SetupCode, str]:
    """Make a code for a relay, in place of an earlier one; return it as stored, and the code itself, which nobody can see again.

    Raises NotFound.
    """
    relay = await editing.lock(tx, RELAYS, relay_id)
    clear = new_code()
    plain = read_code(clear) or ""
    code = SetupCode(relay.id, name_of(plain), secret.hash_key(plain), by.at + VALID_FOR, TRIES)
    await put_setup_code(tx, code)
    await note(tx, by, "setup code", RELAYS.noun, relay.id, {"expires_at": code.expires_at})
    return code, clear


async def exchange_setup_code(
    tx: WriteTx, secret: Secret, typed: str, host: str, by: Editor
) -> tuple[Relay, str] | None:
    """Exchange a code for the relay and a new key of it. The code is used up, and the relay's earlier keys are revoked.

    Returns None, and counts a failed try, for a code that is wrong, used, expired or was tried too often: which of them, an attacker
    must not learn. It does not raise, as the try would then not be stored.
    """
    plain = read_code(typed)
    if plain is None:
        return None
    presented = secret.hash_key(plain)
    code = await find_setup_code(tx, name_of(plain))
    if code is None or not code.accepts(presented, by.at):
        if code is not None:
            await count_failed_try(tx, code.relay_id)
        return None
    relay = await RELAYS.get(tx, code.relay_id, for_change=True)
    await delete_setup_code(tx, relay.id)
    # A relay is one host: a key that stayed behind on an earlier one could still lease this relay's messages.
    await revoke_keys_of_relay(tx, relay.id, by.at)
    wanted = keys.NewKey(KeyKind.RELAY, f"{relay.name} on {host}"[:200], relay_id=relay.id)
    _, clear = await keys.create_key(tx, secret, wanted, by)
    await note(tx, by, "set up", RELAYS.noun, relay.id, {"host": host})
    return relay, clear
