"""Messages that leave by Microsoft Graph, from the outbox to the attempts, on both databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.secret import Secret
from app.deliver.transports import build_transports
from app.domain.message import MessageState
from app.domain.recipient import Address
from tests.support.context import SystemUnderTest, open_system
from tests.support.delivering import delivering, until
from tests.support.graph_server import GraphServer, graph_server, refused
from tests.support.outbox import life_of, post

ANN, ANN_AT_HOME = Address("graph", "ann@example.org"), Address("file", "ann@home.example")
SENT, QUEUED, UNKNOWN, MOVED = MessageState.SENT, MessageState.QUEUED, MessageState.UNKNOWN, MessageState.MOVED


@asynccontextmanager
async def office(database_url: str, folder: Path) -> AsyncIterator[tuple[SystemUnderTest, GraphServer]]:
    """An AppContext that delivers to a Graph server of our own."""
    async with (
        graph_server() as server,
        open_system(database_url, folder, log_level="error", **server.settings) as system,
        delivering(system.context, build_transports(system.context.settings, Secret("s" * 32))),
    ):
        yield system, server


async def test_an_attempt_that_graph_took_has_its_ids_as_evidence(database_url: str, tmp_path: Path) -> None:
    async with office(database_url, tmp_path) as (system, server):
        (one,) = await post(system.context, ANN)
        await until(system.context, one, SENT)
        (attempt,) = await life_of(system.context, one)
    assert len(server.mails) == 1
    assert (attempt.outcome, attempt.code) == ("sent", "202")
    assert attempt.evidence is not None
    assert attempt.evidence["request_id"] == "req-1"


async def test_an_answer_that_is_lost_is_unknown_and_the_same_bytes_are_sent_again(
    database_url: str, tmp_path: Path
) -> None:
    async with office(database_url, tmp_path) as (system, server):
        server.fault = "after_body"
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, UNKNOWN)
        assert message.maybe_sent
        server.fault = None
        system.pass_time(minutes=1)
        await until(system.context, one, SENT)
        life = await life_of(system.context, one)
    assert [attempt.outcome for attempt in life] == ["unknown", "sent"]
    assert "client-request-id" in (life[0].text or "")


async def test_an_alert_goes_by_the_next_transport_at_once_when_the_app_may_not_send(
    database_url: str, tmp_path: Path
) -> None:
    async with office(database_url, tmp_path) as (system, server):
        server.answer = refused(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        (one,) = await post(system.context, ANN, ANN_AT_HOME, is_alert=True)
        moved = await until(system.context, one, MOVED)
        assert (moved.why or "").startswith("graph_right 403 ErrorAccessDenied")
        assert moved.moved_to is not None
        successor = await until(system.context, moved.moved_to, SENT)
    assert successor.transport == "file"


async def test_a_message_that_is_throttled_waits_as_long_as_graph_asks(database_url: str, tmp_path: Path) -> None:
    async with office(database_url, tmp_path) as (system, server):
        status, body, _ = refused(429, "ApplicationThrottled", "too many requests")
        server.answer = status, body, {"Retry-After": "300"}
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, QUEUED, attempts=1)
        (attempt,) = await life_of(system.context, one)
    assert (attempt.outcome, attempt.code) == ("temporary", "429")
    assert (message.due_at - system.time[0]).total_seconds() >= 300
