"""GET /metrics/jobs for Prometheus: how each job stands, as text or OpenMetrics. It needs a key, because it shows names.

A scrape reads all jobs once, keeps them packed, and then writes one family of metrics after the other, as both formats demand. What
is kept of a hundred thousand jobs is a few MiB; the text would be two hundred. Between pieces the event loop serves others.
"""

import asyncio
import contextlib
import re
import time
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import AfterValidator, Field
from starlette.types import Receive, Scope, Send

from app.context import AppContext
from app.core.errors import Overloaded
from app.core.log import log
from app.domain.job_status import ShownState
from app.domain.matcher import read_matcher
from app.http.api.dependencies import Context, Monitor, problems
from app.http.api.fields import Id
from app.http.api.status import Matches, choice_of
from app.store.customers import customers_by_id
from app.store.job_states import (
    TROUBLE,
    JobChoice,
    JobStatus,
    count_by_customer,
    count_silent,
    each_job_status,
)
from app.store.pipeline_state import read_pipeline_state

router = APIRouter(tags=["status"])
SENT_WITHIN_S = 120.0
AT_ONCE_MOST = 4  # scrapes that are answered at the same time; each keeps its jobs until the client has taken all
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_]")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": " "})


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, what it means, and its unit, with which the name ends."""

    name: str
    help: str
    unit: str = ""


# In the order of `_values`. The state is a label of the first one: only the series of the present state exists.
FAMILIES = (
    Family(
        "tocsin_job_state", "1 for the present state of the job: ok, warning, failed, missed, overrun, unclear or new."
    ),
    Family("tocsin_job_last_success_timestamp_seconds", "When the newest successful run of the job ended.", "seconds"),
    Family("tocsin_job_last_run_timestamp_seconds", "When the newest run of the job ended or was missed.", "seconds"),
    Family("tocsin_job_next_due_timestamp_seconds", "When the job should run next.", "seconds"),
    Family("tocsin_job_running_since_timestamp_seconds", "When the present run began.", "seconds"),
    Family(
        "tocsin_job_age_ratio",
        "Time since the last sign of life of the job, divided by the time after which it counts as missed; 1 or more: it is late.",
        "ratio",
    ),
    Family(
        "tocsin_job_overdue", "Whether the job should have run by now (1) or not (0); only of jobs that are expected."
    ),
    Family("tocsin_job_last_duration_seconds", "How long the newest ended run of the job took.", "seconds"),
    Family("tocsin_job_last_processed_bytes", "Bytes that the newest ended run of the job read.", "bytes"),
    Family("tocsin_job_last_stored_bytes", "Bytes that the newest ended run of the job stored.", "bytes"),
    Family("tocsin_job_last_files", "Files that the newest ended run of the job processed.", "files"),
    Family("tocsin_job_failures_in_row", "Failed runs of the job in a row, since the last run that made a backup."),
    Family("tocsin_job_warnings_in_row", "Runs of the job with warnings since the last success."),
    Family("tocsin_job_missed_in_row", "Missed runs of the job since the last run."),
)
_JOBS = Family("tocsin_jobs", "Jobs by customer and state, including those without metrics of their own.")
_LEFT_OUT = Family("tocsin_jobs_left_out", "Jobs that have no metrics of their own because of TOCSIN_JOB_METRICS_MOST.")
_SILENT = Family(
    "tocsin_silent_agents", "Agents of the jobs that are silent: their jobs keep the state of the last report."
)
_CURRENT = Family(
    "tocsin_states_current",
    "Whether the states are up to date (1), or no worker runs, or reports have waited for minutes to be processed or could not be (0).",
)


@dataclass(frozen=True, slots=True)
class _Packed:
    """Some jobs: their labels, and for each family their values, each as lines of text."""

    labels: bytes
    values: Sequence[bytes]

    def lines(self, place: int) -> str:
        """Return the samples of one family."""
        name = FAMILIES[place].name
        found = zip(_unpack(self.labels), _unpack(self.values[place]), strict=True)
        if place == 0:
            return "".join([f'{name}{{{labels},state="{state}"}} 1\n' for labels, state in found])
        return "".join([f"{name}{{{labels}}} {value}\n" for labels, value in found if value])


@dataclass(frozen=True, slots=True)
class _Scrape:
    """All that one answer consists of."""

    counts: Sequence[tuple[str, str, int]]
    is_current: bool
    silent: int
    left_out: int
    packed: Sequence[_Packed]


@dataclass(slots=True)
class ScrapeTurns:
    """Which scrapes are answered now, and whose turn it is to read: two at once would take twice the time and memory."""

    begun: dict[object, float] = field(
        default_factory=dict
    )  # when each began to be sent, by a clock that never goes back
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def are_taken(self) -> bool:
        """Return whether no further scrape may begin. One that a client does not take for minutes counts no longer."""
        since = time.monotonic() - SENT_WITHIN_S
        return sum(begun > since for begun in self.begun.values()) >= AT_ONCE_MOST

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Count one scrape for as long as it is sent."""
        mine = object()
        self.begun[mine] = time.monotonic()
        try:
            yield
        finally:
            del self.begun[mine]


class ScrapeResponse(StreamingResponse):
    """An answer that ends after SENT_WITHIN_S: a client that does not take it would keep the jobs in memory for as long as it likes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Where the time is over, the connection ends without the end of the answer, so that the scrape fails there."""
        try:
            async with asyncio.timeout(SENT_WITHIN_S):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log.warning("a scrape was ended: its client did not take it in time", seconds=SENT_WITHIN_S)
        finally:
            if isinstance(self.body_iterator, AsyncGenerator):  # at once, and not when the collector comes by
                await self.body_iterator.aclose()


def _readable(written: list[str]) -> list[str]:
    for one in written:
        read_matcher(one)
    return written


_Matches = Annotated[Matches, AfterValidator(_readable)]
_LabelName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


@router.get(
    "/metrics/jobs",
    operation_id="get_job_metrics",
    summary="Get the metrics of each job for Prometheus",
    response_class=PlainTextResponse,
    responses=problems() | {200: {"content": {"application/openmetrics-text": {"schema": {"type": "string"}}}}},
)
async def get_job_metrics(
    request: Request,
    context: Context,
    caller: Monitor,
    match: Annotated[_Matches, Query()] = [],  # noqa: B006  (FastAPI copies it)
    # As Prometheus' /federate has it: jobs that meet any of them. Not in the schema, where generated clients would have two parameters
    # of one name.
    match_list: Annotated[_Matches, Query(alias="match[]", include_in_schema=False)] = [],  # noqa: B006
    label: Annotated[
        list[_LabelName],
        Query(max_length=20, description="A label of jobs or agents to show as `label_NAME`; can be repeated."),
    ] = [],  # noqa: B006
    customer_id: Annotated[Id | None, Query(description="Only jobs of this customer.")] = None,
    accept: Annotated[
        str,
        Header(
            max_length=2000, description="Ask for `application/openmetrics-text` to get OpenMetrics instead of text."
        ),
    ] = "",
) -> StreamingResponse:
    """Return the state, times and amounts of each job that matches; jobs in trouble first where not all can be shown."""
    choice = replace(choice_of(caller, customer_id, match), any_of=tuple(map(read_matcher, match_list)))
    # In Prometheus, the name of a label has letters, digits and _ only.
    names = {one: f"label_{_NOT_IN_NAME.sub('_', one)}" for one in label}
    if len(set(names.values())) < len(names):
        wrong = {"type": "value_error", "loc": ("query", "label"), "msg": "two labels have the same name in Prometheus"}
        raise RequestValidationError([wrong])
    turns: ScrapeTurns = request.app.state.scrape_turns
    is_open = "application/openmetrics-text" in accept
    if turns.are_taken():
        raise Overloaded("other scrapes are being answered; try again")
    async with turns.reading:
        scrape = await _read(context, choice, names)
    media_type = OPEN_METRICS if is_open else TEXT
    return ScrapeResponse(_written(scrape, turns, is_open=is_open), headers={"content-type": media_type})


async def _read(context: AppContext, choice: JobChoice, names: dict[str, str]) -> _Scrape:
    """Read the jobs, those in trouble first where there are more than may be shown."""
    now, most = context.clock(), context.settings.job_metrics_most
    seconds = now.timestamp()
    packed: list[_Packed] = []
    async with context.database.read() as tx:
        pipeline = await read_pipeline_state(tx, choice.customer_ids)
        counts = await count_by_customer(tx, choice, now)
        silent = await count_silent(tx, choice, now)
        named = await customers_by_id(tx, counts)
        total = sum(one.jobs for one in counts.values())
        others = tuple(state for state in ShownState if state not in TROUBLE)
        turns = [choice] if total <= most else [choice.in_states(TROUBLE), choice.in_states(others)]
        left = most
        for some in turns:
            if left == 0:
                break  # jobs in trouble fill the limit, and the others are left out
            # Closed at once: what is read no further must not hold a cursor of a transaction that has ended.
            async with contextlib.aclosing(each_job_status(tx, some, now, tuple(names))) as batches:
                async for batch in batches:
                    packed.append(_pack(batch[:left], tuple(names.values()), seconds))
                    left -= len(batch[:left])
                    await asyncio.sleep(0)
                    if left == 0:
                        break
    shown = [
        (named[customer_id].name, state.value, number)
        for customer_id, one in counts.items()
        for state in ShownState
        if (number := getattr(one, state)) and customer_id in named
    ]
    return _Scrape(shown, pipeline.stale_because(now) is None, silent, max(0, total - most), packed)


def _pack(jobs: Sequence[JobStatus], names: Sequence[str], now: float) -> _Packed:
    labels = []
    for job in jobs:
        own = f'customer="{_escape(job.customer)}",agent="{_escape(job.agent)}",job="{_escape(job.job)}",activity="{job.activity}"'
        labels.append(
            own + "".join([f',{name}="{_escape(value)}"' for name, value in zip(names, job.labels, strict=True)])
        )
    values = zip(*[_values(job, now) for job in jobs], strict=True)
    return _Packed(_packed(labels), [_packed(of_family) for of_family in values])


def _values(job: JobStatus, now: float) -> tuple[str, ...]:
    """Return the value of each family for one job; an empty text: it has none."""
    age = overdue = ""
    if job.overdue_at is not None:
        overdue = "1" if job.overdue_at <= now or job.missed_in_row else "0"
        if job.last_came_at is not None:
            ratio = max(0.0, now - job.last_came_at) / max(1, job.overdue_at - job.last_came_at)
            # After a missed run the next one is expected: the job stays late until it shows a sign of life.
            age = f"{max(ratio, 1.0) if job.missed_in_row else ratio:.4g}"
    return (
        job.state,
        _whole(job.last_success_at),
        _whole(job.last_run_at),
        _whole(job.next_due_at),
        _whole(job.running_since),
        age,
        overdue,
        "" if job.duration_s is None else f"{job.duration_s:.10g}",
        _whole(job.bytes_processed),
        _whole(job.bytes_stored),
        _whole(job.files),
        str(job.failures_in_row),
        str(job.warnings_in_row),
        str(job.missed_in_row),
    )


def _whole(number: float | None) -> str:
    return "" if number is None else f"{number:.0f}"


def _escape(value: str) -> str:
    return value.translate(_ESCAPES)


def _packed(lines: Sequence[str]) -> bytes:
    return zlib.compress("\n".join(lines).encode(), 1)


def _unpack(packed: bytes) -> list[str]:
    return zlib.decompress(packed).decode().split("\n")


async def _written(scrape: _Scrape, turns: ScrapeTurns, *, is_open: bool) -> AsyncGenerator[str]:
    """Yield the answer piece by piece."""
    with turns.sending():
        yield _head(_CURRENT, is_open=is_open) + f"{_CURRENT.name} {int(scrape.is_current)}\n"
        yield _head(_SILENT, is_open=is_open) + f"{_SILENT.name} {scrape.silent}\n"
        yield _head(_LEFT_OUT, is_open=is_open) + f"{_LEFT_OUT.name} {scrape.left_out}\n"
        yield _head(_JOBS, is_open=is_open)
        for customer, state, number in scrape.counts:
            yield f'{_JOBS.name}{{customer="{_escape(customer)}",state="{state}"}} {number}\n'
        for place, family in enumerate(FAMILIES):
            yield _head(family, is_open=is_open)
            for some in scrape.packed:
                if lines := some.lines(place):
                    yield lines
                await asyncio.sleep(0)  # sending need not wait for anything, and others want to be served meanwhile
        if is_open:
            yield "# EOF\n"


def _head(family: Family, *, is_open: bool) -> str:
    unit = f"# UNIT {family.name} {family.unit}\n" if is_open and family.unit else ""
    return f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n{unit}"
