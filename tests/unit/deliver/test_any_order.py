"""Results of workers and relays may come in any order, late and repeatedly: what was sent stays sent, and nothing is lost."""

import asyncio
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.ids import new_id
from app.deliver import lease, sweep
from app.deliver.bounces import report_arrived
from app.deliver.settle import settle
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.lease import Claim
from app.domain.message import MessageState
from app.domain.own_address import AddressKind
from app.domain.recipient import Address
from app.domain.returned_mail import DeliveryReport, ReturnedMail, ReturnKind, Via
from app.store import outbox
from app.store.transactions import WriteTx
from tests.support.context import SystemUnderTest, open_system
from tests.support.examples import examples
from tests.support.migrated import copy_sqlite, sqlite_template
from tests.support.outbox import life_of, message_of, post

OUTCOMES = (Sent("250", "ok"), Temporary("451", "later"), Permanent("550", "no"), Unknown("timeout", "no answer"))
ADDRESSES = (Address("smtp", "ann@example.org"), Address("file", "ann@example.org"))
WAS_SENT = (MessageState.SENT, MessageState.BOUNCED)
STEP = st.one_of(
    st.just("lease"),
    st.just("begin"),
    st.just("sweep"),
    st.just("return"),
    st.just("wait"),
    st.tuples(st.just("report"), st.sampled_from([ReturnKind.BOUNCED, ReturnKind.DELAYED, ReturnKind.DELIVERED])),
    st.tuples(st.integers(0, 5), st.sampled_from(OUTCOMES)),
)


class History:
    """One message, and all the claims that ever held it."""

    def __init__(self, system: SystemUnderTest, first: str) -> None:
        self.system = system
        self.chain = [first]
        self.claims: list[Claim] = []
        self.is_sent: set[str] = set()

    async def play(self, step: str | tuple[int, Outcome] | tuple[str, ReturnKind]) -> None:
        now = self.system.time[0]
        async with self.system.context.database.write() as tx:
            match step:
                case "lease":
                    for address in ADDRESSES:
                        leased = await lease.lease(
                            tx, address.transport, 9, now, "worker:a", now + timedelta(minutes=2)
                        )
                        self.claims += [one.claim for one in leased]
                case "begin":
                    await lease.begin(tx, self.claims[-1:], now)
                case "sweep":
                    await sweep.take_back_leases(tx, now)
                    await sweep.move_overdue(tx, await outbox.overdue(tx, now, 100), now)
                case "return":
                    await lease.give_back(tx, self.claims)
                case "wait":
                    self.system.pass_time(minutes=25)
                case ("report", ReturnKind() as kind):
                    await self._report(tx, kind)
                case (int(turn), outcome):
                    if self.claims:
                        held = self.claims[turn % len(self.claims)]
                        await settle(tx, held.message_id, held.token, outcome, now)

    async def _report(self, tx: WriteTx, kind: ReturnKind) -> None:
        now = self.system.time[0]
        report = DeliveryReport(kind, "no such user", "ann@example.org", "5.1.1", is_permanent=True)
        for one in self.chain:
            mail = ReturnedMail(new_id("ret"), now, Via.SMTP, AddressKind.BOUNCE, one, "", b"")
            await report_arrived(self.system.context, tx, mail, report, now)

    async def check(self) -> None:
        last = await message_of(self.system.context, self.chain[-1])
        while last.moved_to is not None and last.moved_to not in self.chain:
            self.chain.append(last.moved_to)
            last = await message_of(self.system.context, last.moved_to)
        for one in self.chain:
            message, life = await message_of(self.system.context, one), await life_of(self.system.context, one)
            assert not (one in self.is_sent and message.state not in WAS_SENT)
            if message.state is MessageState.SENT:
                self.is_sent.add(one)
                assert message.settled_at is not None
            assert [attempt.number for attempt in life] == list(range(1, len(life) + 1))
            assert any(attempt.outcome == "sent" for attempt in life) <= (message.state in WAS_SENT)
            assert (message.lease_token is not None) == (message.state is MessageState.LEASED)
            assert any(attempt.outcome == "unknown" for attempt in life) <= (
                message.maybe_sent or message.state is MessageState.BOUNCED
            )
            assert (message.settled_at is not None) == (message.state in ("sent", "dead", "moved", "bounced"))
        # It is never lost: somewhere along the way it is on its way, was sent, or is dead or bounced for everybody to see.
        assert last.state is not MessageState.MOVED


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=25))
def test_no_order_of_events_undoes_what_was_sent(
    tmp_path: Path, steps: list[str | tuple[int, Outcome] | tuple[str, ReturnKind]]
) -> None:
    async def live() -> None:
        url = copy_sqlite(sqlite_template(), tmp_path / f"{new_id('db')}.db")
        async with open_system(url, tmp_path, log_level="error") as system:
            (first,) = await post(system.context, *ADDRESSES)
            history = History(system, first)
            for step in steps:
                await history.play(step)
                await history.check()

    asyncio.run(live())
