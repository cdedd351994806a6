"""asyncpg's connection, which sends the settings of a transaction together with its BEGIN."""

from functools import cache
from typing import Any

_BEGIN = "BEGIN;"  # as asyncpg sends it


@cache
def connection_class() -> type[Any]:
    """Return a class of connections to which `next_settings` can be given: statements that are sent with the next BEGIN, once.

    A turn to the server takes 0.1 to 0.3 ms, and an alert has about forty of them.
    """
    import asyncpg  # noqa: PLC0415  (on SQLite it is not imported)
    from asyncpg.protocol import protocol  # noqa: PLC0415

    # The driver asks of each element of an array whether it is an array itself, by an abstract class: 800 of such questions an alert. Of what
    # we send, only lists and tuples are. It takes 15 % off our CPU time for the statements that store what was decided on a failure.
    protocol.IterableABC = (list, tuple)

    class SettingConnection(asyncpg.Connection):  # type: ignore[misc]
        __slots__ = ("next_settings",)

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  (as the driver calls it)
            super().__init__(*args, **options)
            self.next_settings = ""

        async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109  (the driver's own)
            if query == _BEGIN and self.next_settings:
                query, self.next_settings = query + self.next_settings, ""
            status: str = await super().execute(query, *args, timeout=timeout)
            return status

    return SettingConnection
