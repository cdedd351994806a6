"""The real app on a real, migrated database, called over HTTP as an administrator calls it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.admin.first_start import first_start
from app.context import AppContext
from app.core.clock import Clock, now
from app.core.secret import open_secret
from app.core.settings import load_settings
from app.http.app import HttpApp
from app.main import Work, create_app
from app.store.engine import open_engines
from app.store.transactions import Database

ADMIN_KEY = "an-admin-key-for-tests"
ENROL_KEY = "an-enrol-key-for-tests"


@dataclass(slots=True)
class Api:
    """The API as an administrator uses it: `ask` returns the response, `tell` requires a success and returns its JSON."""

    app: HttpApp
    client: httpx.AsyncClient

    @property
    def context(self) -> AppContext:
        context: AppContext = self.app.state.context
        return context

    async def ask(self, method: str, path: str, *, key: str = ADMIN_KEY, **more: Any) -> httpx.Response:
        """Send a request with `key`."""
        headers = {"Authorization": f"Bearer {key}"} | more.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **more)

    async def tell(self, method: str, path: str, **more: Any) -> Any:
        """Send a request, fail the test unless it succeeds, and return its JSON."""
        answer = await self.ask(method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def items(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self.tell("GET", path, params=params)
            found += page["items"]
            if page["next"] is None:
                return found
            params["cursor"] = page["next"]

    async def report(self, *events: dict[str, Any]) -> None:
        """Send events as an agent does."""
        receipt = await self.tell("POST", "/v1/events", key=ENROL_KEY, json=list(events))
        assert receipt["rejected"] == []


@asynccontextmanager
async def serving(
    database_url: str, folder: Path, *, work: Work | None = None, clock: Clock = now, **settings: Any
) -> AsyncIterator[Api]:
    """Serve on a migrated database after its first start."""
    fixed = {"admin_key": ADMIN_KEY, "enrol_key": ENROL_KEY, "base_url": "http://tocsin.test"}
    loaded = load_settings(var_dir=folder, database_url=database_url, **(fixed | settings))
    if work is not None:  # the worker begins with the app, and must find a filled database as in the service
        database = Database(open_engines(loaded))
        await first_start(database, loaded, open_secret(loaded), clock)
        await database.close()
    app = create_app(loaded, work=work, clock=clock)
    async with app.api.router.lifespan_context(app.api):
        if work is None:  # over the app's own connections: to open others takes as long as the first start itself
            await first_start(app.state.context.database, loaded, app.state.context.secret, clock)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.test", timeout=30) as client:
            yield Api(app, client)
