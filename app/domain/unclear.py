"""The unclear runs of a job that wait for an answer: their texts prove neither success nor failure. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """

    texts: tuple[UnclearText, ...] = ()
    proven: Run | None = None
    of_alerts: Mapping[str, Run] = field(default_factory=dict)

    def is_answered(self, run: Run) -> bool:
        """Return whether a proven run ended after this one."""
        return self.proven is not None and history_order(self.proven) > history_order(run)
