"""Counters and timers for /metrics. No label may contain the name of a customer, host or job, or an address.

The worker can be another process than the one that serves /metrics. So a worker writes a `snapshot` of its metrics into its
heartbeat, and `restored` turns snapshots back into metrics. Those of the HTTP process (`HTTP`) are read directly.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import Metric

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types
HTTP = CollectorRegistry()
WORKER = CollectorRegistry()

CURRENT_STAGE: ContextVar[str | None] = ContextVar("CURRENT_STAGE", default=None)  # None: the HTTP process

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)

EVENTS = Counter(
    "tocsin_events",
    "Events that were received, by result (accepted, duplicate, rejected) and outcome.",
    ["result", "outcome"],
    registry=HTTP,
)
NOT_LET_IN = Counter(
    "tocsin_agents_not_let_in",
    "Events and requests that the limits of an enrolment key refused, by the rule (the error code).",
    ["rule"],
    registry=HTTP,
)
REQUESTS_REFUSED = Counter(
    "tocsin_requests_refused",
    "Requests with events that were refused as a whole, or their rest, by the error code.",
    ["code"],
    registry=HTTP,
)
OVER_BUDGET = Counter(
    "tocsin_events_over_budget",
    "Events beyond a budget of their key, by the budget: routine that was refused, and failures of new agents and jobs that are reported under the key.",
    ["budget"],
    registry=HTTP,
)
INTAKE_QUEUE = Gauge("tocsin_intake_queue", "Events that wait for the next commit.", registry=HTTP)
COMMIT_SECONDS = Histogram(
    "tocsin_intake_commit_seconds", "Seconds that one commit of events took.", buckets=_SECONDS, registry=HTTP
)
_HELD = (0.005, 0.025, 0.1, 0.25, 1, 5, 30)
REQUEST_WRITE_HELD_SECONDS = Histogram(
    "tocsin_request_write_held_seconds",
    "Seconds that one transaction of a request kept other writers waiting.",
    buckets=_HELD,
    registry=HTTP,
)
WRITE_HELD_SECONDS = Histogram(
    "tocsin_write_held_seconds",
    "Seconds that one transaction of the worker kept other writers waiting.",
    buckets=_HELD,
    registry=WORKER,
)
CONNECTIONS_CUT = Counter(
    "tocsin_connections_cut",
    "Connections to the listeners http and mail that were closed for the sake of others, by reason (full, address, refused, slow, guesses, memory).",
    ["listener", "reason"],
    registry=HTTP,
)

WORKER_RESTARTS = Counter(
    "tocsin_worker_restarts",
    "Times that this server started its worker again, because it had stopped by itself.",
    registry=HTTP,
)
WRITE_FAILURES = Counter(
    "tocsin_write_failures",
    "Writes to the database that its disk refused, by reason: disk_full, disk_quota_reached, file_size_limit, database_read_only, disk_error.",
    ["reason"],
    registry=HTTP,
)
WRITABLE = Gauge(
    "tocsin_database_writable", "Whether the last writes of this process succeeded (1) or not (0).", registry=HTTP
)
WRITABLE.set(1)
LOG_LINES_LOST = Counter("tocsin_log_lines_lost", "Lines of the log that could not be written.", registry=HTTP)
UNREADABLE_ROWS = Gauge(
    "tocsin_unreadable_rows",
    "Rows that fell due, customers and settings of administrators that cannot be read, because another version wrote them or they are damaged. The log names them.",
    registry=WORKER,
)
DISK_FREE_BYTES = Gauge(
    "tocsin_disk_free_bytes", "Free space on the disk of the database and of var_dir.", ["disk"], registry=WORKER
)
DISK_LIMIT_BYTES = Gauge(
    "tocsin_disk_limit_bytes", "Free space below which an alert opens (TOCSIN_DISK_FREE).", ["disk"], registry=WORKER
)

ATTEMPTS = Counter(
    "tocsin_attempts", "Attempts to send a message, by outcome.", ["transport", "outcome"], registry=WORKER
)
DEAD = Counter("tocsin_messages_dead", "Messages that were given up.", ["transport"], registry=WORKER)
MOVED = Counter(
    "tocsin_messages_moved",
    "Messages that were moved to the recipient's next transport.",
    ["transport"],
    registry=WORKER,
)
BOUNCED = Counter(
    "tocsin_messages_bounced",
    "Messages that were sent and came back, by whether another transport was left (yes, no).",
    ["transport", "has_successor"],
    registry=WORKER,
)
RETURNED = Counter(
    "tocsin_returned_mails",
    "Mails about our mails that were read, by what they say (bounced, delayed, delivered, auto_reply, other); forged: ignored in our mailbox.",
    ["result"],
    registry=WORKER,
)
FORGED = Counter(
    "tocsin_forged_bounces",
    "Mails to our listener for an address that looks like one of ours and is not: they are refused.",
    registry=HTTP,
)
STAGE_SECONDS = Histogram(
    "tocsin_stage_seconds",
    "Seconds from the end of one stage to the end of the next: received_to_decided, decided_to_worded, worded_to_sent.",
    ["stage"],
    buckets=_SECONDS,
    registry=WORKER,
)
CANARY_SECONDS = Histogram(
    "tocsin_canary_seconds",
    "Seconds that canary mails took from the outbox to the mailbox in which they arrive.",
    ["transport"],
    buckets=_SECONDS,
    registry=WORKER,
)
CANARIES_LOST = Counter(
    "tocsin_canaries_lost", "Canary mails that did not arrive in time.", ["transport"], registry=WORKER
)
TICK_FAILURES = Counter(
    "tocsin_tick_failures", "Ticks of the worker that failed and were tried again.", ["tick"], registry=WORKER
)


def observe_write(seconds: float) -> None:
    """Count how long a write transaction lasted, for the process that it belongs to."""
    (REQUEST_WRITE_HELD_SECONDS if CURRENT_STAGE.get() is None else WRITE_HELD_SECONDS).observe(seconds)


def snapshot() -> list[dict[str, Any]]:
    """Return the worker's metrics as JSON."""
    return [
        {
            "name": family.name,
            "help": family.documentation,
            "type": family.type,
            "samples": [[sample.name, dict(sample.labels), sample.value] for sample in family.samples],
        }
        for family in WORKER.collect()
    ]


def restored(snapshots: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Metric]:
    """Yield the metrics in the snapshots of several workers, distinguished by the label `worker`."""
    families: dict[str, Metric] = {}
    for worker, snapshot_of_worker in snapshots.items():
        for stored in snapshot_of_worker:
            family = families.setdefault(stored["name"], Metric(stored["name"], stored["help"], stored["type"]))
            for name, labels, value in stored["samples"]:
                family.add_sample(name, {**labels, "worker": worker}, value)
    yield from families.values()
