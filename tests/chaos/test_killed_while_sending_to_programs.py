"""`kill -9` while alerts go to programs that keep their state: no opening is lost, no state is wrong at the end, and nothing is called sent that was not."""

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from app.core.clock import now
from app.core.ids import new_id
from app.core.secret import Secret
from app.core.settings import load_settings
from app.domain.recipient import Address, Recipient
from app.domain.transport_options import PagerdutyOptions, Sealed
from app.store.engine import open_engines
from app.store.routing import RECIPIENTS
from app.store.tables_managed import routes
from app.store.transactions import Database
from tests.chaos.invariants import check_same
from tests.chaos.program_recorders import Recorders, recorders
from tests.chaos.storm import BACK_S, SECRET, Storm, storm_over

ROUNDS, FAILURES = 3, 60
PROGRAMS = ("pagerduty", "alertmanager", "syslog")
_ALERTS = "SELECT alerts.id, jobs.name, alerts.closed_at FROM alerts JOIN jobs ON jobs.id = alerts.job_id WHERE alerts.kind = 'failed'"
_SENT = (
    "SELECT n.alert_id, n.what, m.id, m.transport, m.state, m.why FROM notices n JOIN messages m ON m.id = n.message_id "
    "WHERE n.alert_id IS NOT NULL"
)
_OPEN_ATTEMPTS = "SELECT id FROM attempts WHERE ended_at IS NULL"
pytestmark = pytest.mark.slow


async def lead_to(storm: Storm, programs: Recorders) -> None:
    """Send all alerts to the programs, and to nobody else."""
    http = f"http://127.0.0.1:{programs.http_port}"
    addresses = (
        Address("pagerduty", f"{http}/v2/enqueue", PagerdutyOptions(Sealed(Secret(SECRET).seal("a-routing-key")))),
        Address("alertmanager", http),
        Address("syslog", f"udp://127.0.0.1:{programs.syslog_port}"),
    )
    made = [Recipient(new_id("rcp"), to.transport, None, (to,), created_at=now()) for to in addresses]
    database = Database(open_engines(load_settings(database_url=storm.url, var_dir=storm.folder)))
    try:
        async with database.write() as tx:
            for one in made:
                await RECIPIENTS.insert(tx, one)
            await tx.connection.execute(update(routes).values(recipients=[one.id for one in made]))
    finally:
        await database.close()
    for program in storm.programs:
        program.environment |= {"TOCSIN_WEBHOOK_ALLOW_PRIVATE": "true"}
    storm.agents.mailed, storm.agents.recovers = programs.jobs, 0.8


async def kill_while_sending(storm: Storm, programs: Recorders) -> None:
    """In each round start the programs, wait until some alerts were sent, and kill them amid the others."""
    for _ in range(ROUNDS):
        storm.start()
        most = len(programs.taken) + storm.dice.randint(1, 20)
        async with asyncio.timeout(BACK_S):
            while len(programs.taken) < most:  # noqa: ASYNC110  (the test observes another process)
                await asyncio.sleep(0.005)
        for program in storm.programs:
            program.kill()


async def check(storm: Storm, programs: Recorders) -> None:
    """Compare the database with what the programs took."""
    reported, rows = storm.agents.reported, storm.aftermath.rows
    assert not reported.wrong, reported.wrong
    alerts, sent = await rows(_ALERTS), await rows(_SENT)
    check_same("alerts", Counter(one.name for one in alerts), reported.failed)
    check_same("alerts closed", Counter(one.name for one in alerts if one.closed_at is not None), reported.recovered)
    unsent = [tuple(one) for one in sent if one.state != "sent"]
    assert not unsent, unsent
    open_attempts = await rows(_OPEN_ATTEMPTS)
    assert not open_attempts, open_attempts
    for transport in PROGRAMS:
        opened = {one.alert_id for one in sent if (one.what, one.transport) == ("opened", transport)}
        assert opened == {one.id for one in alerts}, "an opening is missing"
        for alert in alerts:
            taken = programs.about(transport, alert.id)
            assert taken, f"called sent to {transport}, which never took it: {alert.name}"
            assert taken[-1].is_over is (alert.closed_at is not None), (
                f"{transport} shows the wrong state of {alert.name}: {taken}"
            )


async def test_programs_show_each_alert_as_it_is_when_processes_are_killed(database_url: str, tmp_path: Path):
    with storm_over(database_url, tmp_path) as storm, recorders(storm.dice) as programs:
        await storm.prepare(0)
        await lead_to(storm, programs)
        await storm.leave_failures(FAILURES)
        await storm.under_load(partial(kill_while_sending, storm, programs), faults=False)
        programs.are_well = True
        await storm.let_time_pass()
        await storm.settle()
        await check(storm, programs)
        print(f"{storm.score()}; {len(programs.taken)} taken")  # noqa: T201  (shown with -s)
        await storm.stop()
