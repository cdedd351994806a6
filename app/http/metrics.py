"""GET /metrics for Prometheus: this process's counters, the workers' by their heartbeats, and what lies in the database. No key, no names."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.context import AppContext
from app.core import metrics
from app.domain.alert import AlertKind
from app.store import monitoring
from app.store.heartbeats import Heartbeat, heartbeats_since
from app.store.monitoring import OutboxDepth

router = APIRouter(include_in_schema=False)
KEPT_S = 3.0  # however many scrape, the database is asked this often
ALIVE = timedelta(seconds=60)


@router.get("/metrics")
async def read_metrics(request: Request) -> Response:
    """Give all metrics in Prometheus's text format."""
    found = await _look_again(request)
    registry = CollectorRegistry()
    registry.register(_Found(found))
    return Response(generate_latest(metrics.HTTP) + generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@dataclass(slots=True)
class _Kept:
    """What was found last, and when (the loop's seconds)."""

    families: list[Metric]
    at: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Found(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _look_again(request: Request) -> list[Metric]:
    state, clock = request.app.state, asyncio.get_running_loop().time
    kept: _Kept | None = getattr(state, "metrics_kept", None)
    if kept is None:
        kept = state.metrics_kept = _Kept([], at=-KEPT_S)
    async with kept.lock:
        if clock() - kept.at >= KEPT_S:
            kept.families, kept.at = await _look(state.context), clock()
        return kept.families


async def _look(context: AppContext) -> list[Metric]:
    now = context.clock()
    async with context.database.read() as tx:
        alerts = await monitoring.open_alerts(tx)
        waiting = await monitoring.outbox_depth(tx)
        dead = await monitoring.dead_messages(tx)
        undecided = await monitoring.undecided_since(tx)
        workers = await heartbeats_since(tx, now - ALIVE)
    opened = GaugeMetricFamily("tocsin_alerts_open", "Open alerts.", labels=["kind"])
    for kind in AlertKind:
        opened.add_metric([kind.value], alerts.get(kind.value, 0))
    behind = GaugeMetricFamily(
        "tocsin_undecided_oldest_seconds", "Age of the oldest event that was not judged yet; 0 if there is none."
    )
    behind.add_metric([], 0.0 if undecided is None else max(0.0, (now - undecided).total_seconds()))
    beats = GaugeMetricFamily(
        "tocsin_worker_heartbeat_seconds", "Seconds since a worker last showed life.", labels=["worker"]
    )
    for worker in workers:
        beats.add_metric([_unnamed(worker)], (now - worker.at).total_seconds())
    return [
        opened,
        *_outbox(waiting, dead, now),
        behind,
        beats,
        *metrics.restored({_unnamed(worker): worker.metrics for worker in workers}),
    ]


def _outbox(waiting: Sequence[OutboxDepth], dead: Mapping[str, int], now: datetime) -> list[Metric]:
    messages = GaugeMetricFamily(
        "tocsin_outbox_messages",
        "Messages that are not settled, and those that were given up (dead).",
        labels=["transport", "state"],
    )
    ages = GaugeMetricFamily(
        "tocsin_outbox_oldest_seconds", "Age of the oldest message that is not settled.", labels=["transport"]
    )
    oldest: dict[str, float] = {}
    for one in waiting:
        messages.add_metric([one.transport, one.state], one.messages)
        oldest[one.transport] = max(oldest.get(one.transport, 0.0), (now - one.oldest_at).total_seconds())
    for transport, count in dead.items():
        messages.add_metric([transport, "dead"], count)
    for transport, age in oldest.items():
        ages.add_metric([transport], age)
    return [messages, ages]


def _unnamed(worker: Heartbeat) -> str:
    """Tell workers apart without saying which host they are on: /metrics needs no key."""
    return hashlib.sha256(worker.worker.encode()).hexdigest()[:8]
