"""A relay that does what a test asks, over the real protocol. It needs no Windows and sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.store.relays import RELAYS
from app.store.transactions import WriteTx
from programs.protocol import relay as wire
from programs.protocol.relay import DoctorPoint, RelayHeartbeat, RelayInstructions, instructions_from_json
from tests.support.api import Api


@dataclass(slots=True)
class ScriptedRelay:
    """One relay with its key."""

    api: Api
    id: str
    key: str

    async def lease(self, *holding: wire.LeasedMail, most: int = 10, wait_s: float = 0) -> list[wire.LeasedMail]:
        """Ask for messages."""
        return list((await self.ask(*holding, most=most, wait_s=wait_s)).messages)

    async def ask(self, *holding: wire.LeasedMail, most: int = 10, wait_s: float = 0) -> wire.LeaseAnswer:
        """Ask for messages, and return the whole answer."""
        held = [{"id": one.id, "token": one.token} for one in holding]
        return wire.LeaseAnswer.from_json(
            await self._post(wire.LEASE, {"most": most, "wait_s": wait_s, "holding": held})
        )

    async def begin(self, *messages: wire.LeasedMail) -> set[str]:
        """Report that these are being sent now, and return the ids of those that may be."""
        return await self._claims(wire.BEGIN, messages)

    async def renew(self, *messages: wire.LeasedMail) -> set[str]:
        """Renew leases, and return the ids of those still held."""
        return await self._claims(wire.RENEW, messages)

    async def hand_in(
        self, message: wire.LeasedMail, outcome: str, reason: str = "", **evidence: Any
    ) -> wire.ReceiptAnswer:
        """Report the outcome of a message."""
        receipt = wire.RelayReceipt(message.id, message.token, outcome, reason, evidence)
        answer = await self._post(wire.RECEIPTS, wire.RelayReceipts([receipt]).as_json())
        return wire.ReceiptAnswer.list_from_json(answer)[0]

    async def send(self, *, outcome: str = wire.SENT, **evidence: Any) -> list[wire.LeasedMail]:
        """Lease all messages and report this outcome for each."""
        leased = await self.lease()
        assert await self.begin(*leased) == {one.id for one in leased}
        for one in leased:
            await self.hand_in(one, outcome, f"as the test says: {outcome}", **evidence)
        return leased

    async def beat(self, *doctor: DoctorPoint, **state: Any) -> RelayInstructions:
        """Send a heartbeat."""
        heartbeat = RelayHeartbeat(version="0.1.0", host="MAIL01", client="Microsoft Outlook", doctor=doctor, **state)
        return instructions_from_json(await self._post(wire.HEARTBEAT, heartbeat.as_json()))

    async def shown(self) -> Mapping[str, Any]:
        """Return it as an administrator sees it."""
        found: Mapping[str, Any] = await self.api.tell("GET", f"/v1/relays/{self.id}")
        return found

    async def _claims(self, path: str, messages: tuple[wire.LeasedMail, ...]) -> set[str]:
        claims = wire.LeaseClaims([wire.LeaseClaim(one.id, one.token) for one in messages])
        return {one.id for one in wire.LeaseClaims.from_json(await self._post(path, claims.as_json())).claims}

    async def _post(self, path: str, body: Any) -> bytes:
        answer = await self.api.ask("POST", path, key=self.key, json=body)
        assert answer.status_code == 200, answer.text
        return answer.content


async def change(tx: WriteTx, relay_id: str, **state: Any) -> None:
    """Change what the service noted of a relay, such as the time of its next probe."""
    relay = await RELAYS.get(tx, relay_id, for_change=True)
    await RELAYS.save_state(tx, relay, replace(relay, **state))


async def add_relay(api: Api, name: str = "mail01", **fields: Any) -> ScriptedRelay:
    """Add a relay and its key, as an administrator does, and send its first heartbeat."""
    made = await api.tell("POST", "/v1/relays", json={"name": name, **fields})
    key = await api.tell("POST", "/v1/keys", json={"kind": "relay", "name": name, "relay_id": made["id"]})
    relay = ScriptedRelay(api, made["id"], key["key"])
    await relay.beat()
    return relay
