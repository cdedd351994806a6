"""Calls the service for the relay, as programs/protocol/relay.py describes it. It decides nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from programs.protocol import relay as wire
from programs.protocol.checked import BadShape
from programs.protocol.http_client import BadAddress, HttpClient, KeyRejected, NoAnswer, TimeLimits

T = TypeVar("T")
_OK, _KEY_REJECTED = 200, (401, 403)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class RelayClient:
    """The service as one thread of the relay calls it, over one connection that is kept. Raises BadAddress.

    Plain HTTP is accepted only for this host itself: everybody on the way could read the key.
    """

    def __init__(self, server: str, key: str, ca_file: str = "", patience_s: float = 20.0) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "User-Agent": "tocsin-relay"}
        self._http = HttpClient(server, headers, ca_file=ca_file, keeps_connection=True, uses_proxy=False)
        if not self._http.is_encrypted and self._http.host not in _LOOPBACK:
            raise BadAddress("use https: over http everybody on the way could read the key")
        self.patience_s = patience_s  # for each step of an exchange; twice that for a whole one

    def lease(self, wait_s: float, most: int, holding: Sequence[wire.LeaseClaim]) -> wire.LeaseAnswer:
        """Wait up to `wait_s` seconds for at most `most` messages. Raises NoAnswer."""
        request = {"wait_s": wait_s, "most": most, "holding": [claim.__dict__ for claim in holding]}
        return self._post(wire.LEASE, request, wire.LeaseAnswer.from_json, wait_s, wire.ANSWER_MOST)

    def begin(self, claim: wire.LeaseClaim) -> bool:
        """Return whether the message may be sent now. Raises NoAnswer."""
        return claim in self._post_claims(wire.BEGIN, [claim])

    def renew(self, claims: Sequence[wire.LeaseClaim]) -> Sequence[wire.LeaseClaim]:
        """Prolong leases, and return those that are still held. Raises NoAnswer."""
        return self._post_claims(wire.RENEW, claims)

    def hand_in(self, receipts: Sequence[wire.RelayReceipt]) -> Sequence[wire.ReceiptAnswer]:
        """Hand in receipts, and return what the service did with each. Raises NoAnswer."""
        body = wire.RelayReceipts(receipts).as_json()
        return self._post(wire.RECEIPTS, body, wire.ReceiptAnswer.list_from_json)

    def beat(self, heartbeat: wire.RelayHeartbeat) -> wire.RelayInstructions:
        """Report how the relay is, and return what the service wants of it. Raises NoAnswer."""
        return self._post(wire.HEARTBEAT, heartbeat.as_json(), wire.instructions_from_json)

    def check(self, test_to: str = "", message_id: str = "") -> wire.CheckAnswer:
        """Ask how the service knows this relay, and have it queue a test message or say how that is. Raises NoAnswer."""
        return self._post(wire.CHECK, wire.CheckRequest(test_to, message_id).__dict__, wire.CheckAnswer.from_json)

    def set_up(self, code: str, host: str) -> wire.SetupAnswer:
        """Exchange a one-time code for this relay's key. Raises NoAnswer."""
        return self._post(wire.SETUP, wire.SetupRequest(code, host).__dict__, wire.SetupAnswer.from_json)

    def close(self) -> None:
        """Close the connection. Called from another thread, it also ends a call that waits."""
        self._http.close()

    def _post_claims(self, path: str, claims: Sequence[wire.LeaseClaim]) -> Sequence[wire.LeaseClaim]:
        return self._post(path, wire.LeaseClaims(claims).as_json(), wire.LeaseClaims.from_json).claims

    def _post(
        self,
        path: str,
        body: Any,  # noqa: ANN401  (JSON)
        read: Callable[[bytes], T],
        wait_s: float = 0.0,
        most: int = wire.ASKED_MOST,
    ) -> T:
        step_s = self.patience_s + wait_s
        limits = TimeLimits(connect=self.patience_s, step=step_s, total=step_s + self.patience_s)
        answer = self._http.post(path, json.dumps(body).encode("ascii"), limits, most)
        if answer.status in _KEY_REJECTED:
            if path == wire.SETUP:  # which sends a code
                raise KeyRejected(f"the service answered {answer.status}{_detail_in(answer.body)}")
            raise KeyRejected(
                f"the service does not accept our key ({answer.status}): make a new one there, and install again"
            )
        if answer.status != _OK:
            raise NoAnswer(f"the service answered {answer.status}{_detail_in(answer.body)}")
        if answer.is_cut:
            raise NoAnswer(f"the service's answer has more than {most} bytes")
        try:
            return read(answer.body)
        except BadShape as wrong:
            raise NoAnswer(f"the service's answer is not as agreed: {wrong}") from wrong


def _detail_in(body: bytes) -> str:
    """Return the detail of a problem (RFC 9457) as one line, so that it cannot pass for a line of the log; empty if there is none."""
    try:
        detail = json.loads(body).get("detail")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return f": {' '.join(detail.split())[:300]!r}" if isinstance(detail, str) else ""
