"""The storm: prepares a database, runs agents and programs on it, kills at random, lets it settle, and checks the result."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
from sqlalchemy import update

from app.admin.first_start import first_start
from app.core.clock import now
from app.core.ids import new_id
from app.core.secret import Secret
from app.core.settings import load_settings
from app.domain.summary_schedule import SummarySchedule
from app.store.engine import open_engines
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.tables import messages
from app.store.tables_managed import recipients, routes
from app.store.transactions import Database
from tests.chaos.agents import Agents
from tests.chaos.invariants import Aftermath
from tests.chaos.postbox import Postbox
from tests.chaos.processes import Program
from tests.support.context import open_system
from tests.support.ports import lasting_port
from tests.support.smtp import SmtpServer

BACK_S, SETTLED_S = 60, 150
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "20"))
ENROL_KEY, ADMIN_KEY, SECRET = "chaos-enrolment-key", "chaos-admin-key-12345", "chaos" * 8


@dataclass(slots=True)
class Storm:
    """One database with its programs, agents and mail server."""

    url: str
    folder: Path
    server: SmtpServer
    dice: random.Random
    programs: list[Program] = field(default_factory=list)
    port: int = 0
    postbox: Postbox = field(init=False)
    agents: Agents = field(init=False)

    def __post_init__(self) -> None:
        self.port = lasting_port()
        words = ["serve"] if self.is_sqlite else ["serve", "worker", "worker"]
        names = [f"{word}-{number}" for number, word in enumerate(words)]
        env = self._environment()
        self.programs = [
            Program(word, name, env, self.folder / f"{name}.log") for word, name in zip(words, names, strict=True)
        ]
        self.postbox = Postbox(self.server)
        self.agents = Agents(f"http://127.0.0.1:{self.port}", ENROL_KEY, self.dice, self.postbox.failures)

    @property
    def is_sqlite(self) -> bool:
        """Whether server and worker are one process."""
        return self.url.startswith("sqlite")

    @property
    def aftermath(self) -> Aftermath:
        """What is left to check."""
        return Aftermath(self.url, self.agents.reported, self.postbox)

    async def prepare(self, rounds: int) -> None:
        """Do the first start. Each alert has a mail of its own, and a summary is due every other second of the storm."""
        database = Database(
            open_engines(load_settings(database_url=self.url, var_dir=self.folder, **self.mail_settings()))
        )
        settings = load_settings(
            database_url=self.url, var_dir=self.folder, admin_key=ADMIN_KEY, enrol_key=ENROL_KEY, **self.mail_settings()
        )
        try:
            await first_start(database, settings, Secret(SECRET))
            async with database.write() as tx:
                await tx.connection.execute(
                    update(routes).values(group_by=["job"], group_interval_s=0, repeat_every_s=None)
                )
                admin = (await tx.connection.execute(recipients.select())).one()
                for number in range(rounds):
                    await SUMMARY_SCHEDULES.insert(tx, _due_soon(number, admin.id))
        finally:
            await database.close()

    async def leave_failures(self, number: int) -> None:
        """Leave so many failures whose alerts wait to be sent, each of a job of its own."""
        async with open_system(self.url, self.folder, **self.mail_settings()) as system:
            system.time[0] = now()
            for one in range(number):
                agent, job = f"host-{one % 6}", f"broken-before-{one}"
                await system.receive(agent=agent, job=job, outcome="failure", phase="finished")
                self.agents.know_failure(agent, job)
            await system.decide()

    def start(self) -> None:
        """Start the programs that are not running."""
        for program in self.programs:
            assert not program.ended_by_itself, program.end_of_log()
            if not program.is_running:
                program.start()

    async def kill_some(self, rounds: int) -> None:
        """In each round start the programs that are not running, wait for a random time, and kill some of them."""
        for _ in range(rounds):
            self.start()
            if self.dice.random() < 0.75:  # else they are killed while they start
                await self.answered()
            await asyncio.sleep(self.dice.uniform(0.0, 2.5))
            for program in self.dice.sample(self.programs, self.dice.randint(1, len(self.programs))):
                program.kill()

    async def answered(self) -> None:
        """Wait until the server answers again."""
        before = self.agents.reported.answers
        async with asyncio.timeout(BACK_S):
            while self.agents.reported.answers == before:  # noqa: ASYNC110  (the test observes another process)
                await asyncio.sleep(0.02)

    async def answers(self) -> None:
        """Wait until the server answers."""
        async with asyncio.timeout(BACK_S), httpx.AsyncClient() as client:
            while not await _is_ready(client, f"http://127.0.0.1:{self.port}/healthz"):  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.02)

    async def under_load(self, kill: Callable[[], Awaitable[None]], *, faults: bool) -> None:
        """Let agents report while `kill` goes on, and until all that they sent is answered. With `faults` the mail server misbehaves too."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.agents.report(stopping))
            faulty = group.create_task(self.postbox.alternate_faults(self.dice)) if faults else None
            await kill()
            self.start()
            await self.answered()
            if faulty is not None:
                faulty.cancel()
            stopping.set()

    async def let_time_pass(self) -> None:
        """Kill all programs, move due times and leases into the past, as if it were minutes later, and start again."""
        for program in self.programs:
            program.kill()
        database = Database(open_engines(load_settings(database_url=self.url, var_dir=self.folder)))
        at = now()
        try:
            async with database.write() as tx:
                await tx.connection.execute(update(messages).where(messages.c.due_at > at).values(due_at=at))
                await tx.connection.execute(update(messages).where(messages.c.lease_until > at).values(lease_until=at))
        finally:
            await database.close()
        self.start()

    async def settle(self) -> None:
        """Wait until nothing is left to do. Raises AssertionError with what still waits."""
        try:
            async with asyncio.timeout(SETTLED_S):
                while await self.aftermath.undone():  # noqa: ASYNC110  (as above)
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise AssertionError(f"stuck: {await self.aftermath.undone()}") from None

    async def stop(self) -> None:
        """Stop the programs with SIGTERM, and check their exit status and their logs.

        They must have started: one that still loads its code has no handler for SIGTERM yet, and dies of it.
        """
        async with asyncio.timeout(BACK_S), httpx.AsyncClient() as client:
            while not await _is_ready(client, f"http://127.0.0.1:{self.port}/readyz"):  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.05)
        ended = {program.name: await program.stop() for program in self.programs}
        assert not any(ended.values()), ended
        defects = [line for program in self.programs for line in program.defects()]
        assert not defects, defects

    def score(self) -> str:
        """Return a line that says how much could have been lost."""
        reported, copies = self.agents.reported, self.postbox.copies()
        return (
            f"{sum(program.kills for program in self.programs)} kills of programs; {len(reported.events)} events accepted, {reported.unanswered} times no "
            f"answer; {len(reported.failed)} failures and {len(reported.recovered)} recoveries mailed; {copies.total()} copies of {len(copies)} mails"
        )

    def _environment(self) -> dict[str, str]:
        ours = {
            "database_url": self.url,
            "var_dir": self.folder,
            "port": self.port,
            "secret": SECRET,
            "worker": "false",
            "log_level": "debug",
        }
        ours |= {"enrol_key": ENROL_KEY, "admin_key": ADMIN_KEY, **self.mail_settings()}
        rest = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        return rest | {f"TOCSIN_{name.upper()}": str(value) for name, value in ours.items()}

    def mail_settings(self) -> dict[str, str]:
        """Return the settings by which the admin has mail. Each start with other ones would change the recipient."""
        return {"smtp_url": f"smtp://127.0.0.1:{self.server.port}?tls=none", "admin_email": "admin@example.org"}


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


def _due_soon(number: int, recipient_id: str) -> SummarySchedule:
    """Return a schedule whose regular hour is far away, and whose next summary is due now or soon."""
    at = now()
    far = at - timedelta(hours=3)
    return SummarySchedule(
        id=new_id("sch"),
        name=f"storm {number}",
        recipients=(recipient_id,),
        created_at=at,
        hour=far.hour,
        minute=far.minute,
        next_at=at + timedelta(seconds=2 * number),
    )


@contextmanager
def storm_over(url: str, folder: Path) -> Iterator[Storm]:
    """Yield a storm over a migrated database. Its seed is printed: CHAOS_SEED=... repeats its random choices, though not their exact moments."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))
    print(f"CHAOS_SEED={seed}")  # noqa: T201
    with SmtpServer() as server:
        storm = Storm(url, folder, server, random.Random(seed))
        try:
            yield storm
        except BaseException:
            print("\n".join(program.end_of_log() for program in storm.programs))  # noqa: T201
            raise
        finally:
            for program in storm.programs:
                program.kill()
