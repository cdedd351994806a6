"""Share links over HTTP: shown once, listed without their token, revoked, and opened by their token alone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.admin.share_links import open_share_link
from app.core.errors import NotFound
from app.domain.share_link import ShareKind
from tests.support.api import Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def test_a_link_is_shown_once_opens_its_kind_only_and_is_revoked_at_once(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    wanted = {"kind": "wall", "name": "Office", "customer_ids": [customer["id"]], "shows": ["errors", "counts"]}
    made = await api.ask("POST", "/v1/share-links", json=wanted)
    assert made.status_code == 201
    token, url = made.json()["token"], made.json()["url"]
    assert url.endswith(f"/wall/{token}")
    shown = await api.tell("GET", made.headers["Location"])
    assert shown == {name: value for name, value in made.json().items() if name not in ("token", "url")}
    assert (shown["shows"], shown["last_used_at"]) == (["counts", "errors"], None)

    opened = await open_share_link(api.context, token, ShareKind.WALL)
    assert (opened.id, opened.covers(customer["id"]), opened.covers("cus_" + "0" * 28)) == (shown["id"], True, False)
    [listed] = await api.items("/v1/share-links", kind="wall")
    assert listed["last_used_at"] is not None
    for wrong, kind in ((token, ShareKind.BADGE), (token + "x", ShareKind.WALL), ("", ShareKind.WALL)):
        with pytest.raises(NotFound):
            await open_share_link(api.context, wrong, kind)

    assert (await api.ask("DELETE", made.headers["Location"])).status_code == 204
    with pytest.raises(NotFound):
        await open_share_link(api.context, token, ShareKind.WALL)
    assert [one["id"] for one in await api.items("/v1/share-links", revoked=True)] == [shown["id"]]
    entries = await api.items("/v1/audit", noun="share link")
    assert [entry["action"] for entry in entries] == ["revoke", "create"]
    assert token not in str(entries)


async def test_a_link_that_has_expired_opens_nothing(api: Api) -> None:
    ends = api.context.clock() + timedelta(hours=1)
    wanted = {"kind": "badge", "name": "Readme", "customer_ids": None, "expires_at": ends.isoformat()}
    made = await api.tell("POST", "/v1/share-links", json=wanted)
    link = await open_share_link(api.context, made["token"], ShareKind.BADGE)
    assert link.is_open(ends - timedelta(seconds=1))
    assert not link.is_open(ends)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customer_ids": []}, "customer_ids"),
        ({"customer_ids": ["cus_" + "0" * 28]}, "customer_ids"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"shows": ["addresses"]}, "shows[0]"),
    ],
)
async def test_what_a_link_cannot_be_is_refused(api: Api, change: dict[str, object], field: str) -> None:
    wanted = {"kind": "wall", "name": "Office", "customer_ids": None}
    refused = await api.ask("POST", "/v1/share-links", json=wanted | change)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    left_out = {name: value for name, value in wanted.items() if name != "customer_ids"}
    assert (await api.ask("POST", "/v1/share-links", json=left_out)).status_code == 422, "it has no default"
