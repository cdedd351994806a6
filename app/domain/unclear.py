"""The unclear runs of a job that wait for an answer: their texts prove neither success nor failure. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.domain.event import PROVEN
from app.domain.job import history_order
from app.domain.run import Run


@dataclass(frozen=True, slots=True)
class UnclearText:
    """An unclear run with the key of its text's form."""

    run: Run
    form: str


@dataclass(frozen=True, slots=True)
class UnclearHistory:
    """The newest unclear runs of a job that no proven run followed, oldest first, and the newest proven run.

    `of_alerts`: the run of each event that an open alert rests on, by the event's id.
    `withdrawn`: the newest end that proved something until a later report changed it, such as "cancelled" after "success".
    """

    texts: tuple[UnclearText, ...] = ()
    proven: Run | None = None
    of_alerts: Mapping[str, Run] = field(default_factory=dict)
    withdrawn: Run | None = None

    def is_answered(self, run: Run) -> bool:
        """Return whether a proven run ended after this one."""
        return self.proven is not None and history_order(self.proven) > history_order(run)

    def lost_its_answer(self, run: Run) -> bool:
        """Return whether an end that answered this run until now proves nothing any more."""
        return self.withdrawn is not None and history_order(self.withdrawn) > history_order(run)


def newest_withdrawn(known: Mapping[str, Run], changed: Iterable[Run]) -> Run | None:
    """Return the newest of the known ends that proved something, and of which the changed run does not prove as much."""
    withdrawn = []
    for run in changed:
        old = known.get(run.run_key)
        if old is None or old.outcome not in PROVEN or old.ended_at is None:
            continue
        if run.outcome not in PROVEN or run.ended_at is None or run.ended_at < old.ended_at:
            withdrawn.append(old)
    return max(withdrawn, key=history_order, default=None)
