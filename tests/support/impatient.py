"""A real service that waits a second or two where it waits a minute otherwise: `with serving_impatiently(folder) as running`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import running
from tests.support.running import Running, serving

BODY_S = 0.8  # for which an endpoint waits for a body
MODULE = "tests.support.impatient"


@contextmanager
def serving_impatiently(folder: Path, **settings: str) -> Iterator[Running]:
    """Start it."""
    started_by = running.SERVE
    running.SERVE = ["-m", MODULE]
    try:
        with serving(folder, **settings) as service:
            yield service
    finally:
        running.SERVE = started_by


def _serve() -> None:
    from app.cli.serve import serve  # noqa: PLC0415  (only the service needs them)
    from app.http import bounded_connection, mail_connection, middleware  # noqa: PLC0415
    from app.intake import body  # noqa: PLC0415

    body.READ_TIMEOUT_S = middleware.READ_TIMEOUT_S = BODY_S
    bounded_connection.HEAD_S, bounded_connection.READ_S = 2.0, 2.0
    bounded_connection.BODY_S = 8.0  # much longer than an endpoint waits: on a busy machine its answer would be cut off
    mail_connection.PATIENCE_S = 2.0
    serve()


if __name__ == "__main__":
    _serve()
