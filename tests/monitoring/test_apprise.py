"""The transport `apprise` from a report to local servers that take what chat services take."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.chat_server import chat_server
from tests.support.measured import Measured
from tests.support.reporting import PushingService, pushing_service
from tests.support.running import Running, serving, wait_until

TOKEN = "AbCdEfGhIjKlMnOpQrStUvWx"
EVIL = "the disk is full\r\nX-Evil: 1 <script> @everyone"
URLS = {
    "ntfy": "ntfy://127.0.0.1:{port}/" + TOKEN,
    "gotify": "gotify://127.0.0.1:{port}/" + TOKEN,
    "mattermost": "mmost://127.0.0.1:{port}/" + TOKEN,
}
pytestmark = pytest.mark.slow


def test_chats_get_a_short_text_and_the_url_is_never_shown(tmp_path: Path):
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        for name, url in URLS.items():
            service.add_recipient("apprise", name, url=url.format(port=server.port))
            service.report(name, "failure", EVIL)
            body = wait_until(
                f"the message of {name}", lambda: [body for path, body in server.got if TOKEN in path + body]
            )[-1]
            assert "🔴 nas01" in json.loads(body).get("message", json.loads(body).get("text", "")) or "🔴" in body
            assert "the disk is full" in body
            assert "/alerts/" in body
            server.got.clear()
        sent = service.wait_for_attempt("apprise", "sent")
        assert TOKEN not in str(sent)
        measured = Measured(
            "apprise", f"Apprise {metadata.version('apprise')} and local servers like ntfy, Gotify and Mattermost"
        )
        with measured.recovery():
            service.report("ntfy", "success")
            wait_until("the recovery", lambda: any("🟢" in str(json.loads(body)) for _, body in server.got))
        server.got.clear()
        with measured.failure():
            service.report("ntfy", "failure", EVIL)
            wait_until("the failure", lambda: any("🔴" in str(json.loads(body)) for _, body in server.got))
        shown = str(service.running.ask("/v1/recipients")) + str(service.running.ask("/v1/audit"))
        assert TOKEN not in shown
        assert TOKEN.encode() not in service.stored()


def test_what_a_service_refuses_is_tried_again(tmp_path: Path):
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        server.status = 403
        service.add_recipient("apprise", "team", url=URLS["gotify"].format(port=server.port))
        service.report("photos", "failure")
        failed = service.wait_for_attempt("apprise", "temporary")
        assert failed["code"] == "403"
        assert TOKEN not in str(failed)


def test_a_private_address_is_refused_unless_it_is_allowed(tmp_path: Path):
    with chat_server() as server, serving(tmp_path / "var") as running:
        service = _service_of(running)
        service.add_recipient("apprise", "team", url=URLS["ntfy"].format(port=server.port))
        service.report("photos", "failure")
        assert "no public address" in service.wait_for_attempt("apprise", "permanent")["text"]
        assert server.got == []


def _service_of(running: Running) -> PushingService:
    return PushingService(running)
