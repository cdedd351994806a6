"""GET /metrics for Prometheus: the counters of this process, those in the workers' heartbeats, and what is in the database. It needs no key and shows no names."""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.context import AppContext
from app.core import metrics
from app.domain.alert import AlertKind
from app.http.health import PROBLEM
from app.store import monitoring
from app.store.heartbeats import Heartbeat, heartbeats_since
from app.store.waiting import oldest_waiting_event

router = APIRouter(tags=["health"])
KEPT_S = 3.0  # the database is queried this often, however many clients scrape
ALIVE = timedelta(seconds=60)


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Get metrics for Prometheus",
    response_class=PlainTextResponse,
    responses={422: {"description": "The address contains a NUL character.", "content": PROBLEM}},
)
async def get_metrics(request: Request) -> Response:
    """Return all metrics in Prometheus's text format."""
    state, clock = request.app.state, asyncio.get_running_loop().time
    cached: _CachedFamilies | None = getattr(state, "metrics_kept", None)
    if cached is None:
        cached = state.metrics_kept = _CachedFamilies([], at=-KEPT_S)
    async with cached.lock:
        if clock() - cached.at >= KEPT_S:
            cached.families, cached.at = await _read_families(state.context), clock()
        found = cached.families
    registry = CollectorRegistry()
    registry.register(_FamilyCollector(found))
    return Response(generate_latest(metrics.HTTP) + generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@dataclass(slots=True)
class _CachedFamilies:
    """The metrics that were read last, and when (time of the event loop, in seconds)."""

    families: list[Metric]
    at: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class _FamilyCollector(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _read_families(context: AppContext) -> list[Metric]:
    now = context.clock()
    async with context.database.read() as tx:
        alerts = await monitoring.open_alerts(tx)
        to_nobody = await monitoring.count_alerts_to_nobody(tx)
        waiting = await monitoring.outbox_depth(tx)
        dead = await monitoring.dead_messages(tx)
        undecided = await oldest_waiting_event(tx)
        workers = await heartbeats_since(tx, now - ALIVE)
    opened = GaugeMetricFamily("tocsin_alerts_open", "Open alerts.", labels=["kind"])
    for kind in AlertKind:
        opened.add_metric([kind.value], alerts.get(kind.value, 0))
    unsent = GaugeMetricFamily(
        "tocsin_alerts_to_nobody",
        "Open alerts that nobody acknowledged and that were sent to nobody: no route matches, or the route has no recipient with a transport.",
    )
    unsent.add_metric([], to_nobody)
    behind = GaugeMetricFamily(
        "tocsin_undecided_oldest_seconds", "Age of the oldest event that was not decided on yet; 0 if there is none."
    )
    behind.add_metric([], 0.0 if undecided is None else max(0.0, (now - undecided).total_seconds()))
    beats = GaugeMetricFamily(
        "tocsin_worker_heartbeat_seconds", "Seconds since the last heartbeat of a worker.", labels=["worker"]
    )
    for worker in workers:
        beats.add_metric([_worker_label(worker)], (now - worker.at).total_seconds())
    messages = GaugeMetricFamily(
        "tocsin_outbox_messages",
        "Messages that are not settled, and those that were given up (dead).",
        labels=["transport", "state"],
    )
    ages = GaugeMetricFamily(
        "tocsin_outbox_oldest_seconds", "Age of the oldest message that is not settled.", labels=["transport"]
    )
    oldest: dict[str, float] = {}
    for depth in waiting:
        messages.add_metric([depth.transport, depth.state], depth.messages)
        age = (now - depth.oldest_at).total_seconds()
        oldest[depth.transport] = max(oldest.get(depth.transport, 0.0), age)
    for transport, count in dead.items():
        messages.add_metric([transport, "dead"], count)
    for transport, age in oldest.items():
        ages.add_metric([transport], age)
    return [
        opened,
        unsent,
        messages,
        ages,
        behind,
        beats,
        *metrics.restored({_worker_label(worker): worker.metrics for worker in workers}),
    ]


def _worker_label(worker: Heartbeat) -> str:
    """Return a label that distinguishes workers and does not show their hosts: /metrics needs no key."""
    return hashlib.sha256(worker.worker.encode()).hexdigest()[:8]
