"""The transport `apprise` from a report to local servers that take what chat services take."""

import json
from importlib import metadata
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import own_names
from tests.support.chat_server import chat_server
from tests.support.chat_services import SERVICES, chat_services
from tests.support.measured import Measured
from tests.support.reporting import PushingService, pushing_service
from tests.support.running import Running, serving, wait_until
from tests.support.self_signed import self_signed

TOKEN = "AbCdEfGhIjKlMnOpQrStUvWx"
EVIL = "the disk is full\r\nX-Evil: 1 <script> @everyone"
URLS = {
    "ntfy": "ntfy://127.0.0.1:{port}/" + TOKEN,
    "gotify": "gotify://127.0.0.1:{port}/" + TOKEN,
    "mattermost": "mmost://127.0.0.1:{port}/" + TOKEN,
}
PLACES = {"ntfy": f'"topic": "{TOKEN}"', "gotify": "/message", "mattermost": f"/hooks/{TOKEN}"}
pytestmark = pytest.mark.slow


def test_chats_get_a_short_text_and_the_url_is_never_shown(tmp_path: Path):
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        for name, url in URLS.items():
            service.add_recipient("apprise", name, goes_on=True, url=url.format(port=server.port))
            service.report(name, "failure", EVIL)
            body = wait_until(
                f"the message of {name}",
                lambda place=PLACES[name]: [body for path, body in server.got if place in path + body],
                60,
            )[-1]
            assert "🔴 nas01" in str(json.loads(body))
            assert "the disk is full" in body
            assert "/alerts/" in body
            server.got.clear()
        sent = service.wait_for_attempt("apprise", "sent")
        assert TOKEN not in str(sent)
        servers = "local servers like ntfy, Gotify, Mattermost, Slack, Discord and Teams"
        measured = Measured("apprise", f"Apprise {metadata.version('apprise')} and {servers}")
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


@pytest.mark.skipif(not own_names.is_possible(), reason="needs root, for a mount namespace and port 443")
def test_slack_teams_and_discord_get_what_they_publish(tmp_path: Path):
    hosts = [service.host for service in SERVICES.values()]
    key_file, authority = tmp_path / "key.pem", tmp_path / "authority.pem"
    authority.write_bytes(self_signed(hosts[0], key_file, hosts[1:]).public_bytes(Encoding.PEM))
    with chat_services(key_file) as server:
        names = dict.fromkeys([*hosts, "chat.googleapis.com"], server.address)
        with pushing_service(tmp_path / "var", own_names.serve_command(tmp_path, names, authority)) as service:
            for name, chat in SERVICES.items():
                service.add_recipient("apprise", name, goes_on=True, url=chat.url)
            for outcome, mark in (("failure", "🔴"), ("success", "🟢")):
                service.report("photos", outcome, EVIL)
                for name in SERVICES:
                    body = wait_until(
                        f"{outcome} at {name}", lambda name=name: dict(server.got).get(name) or server.refused, 60
                    )
                    assert not server.refused
                    text = json.dumps(json.loads(body), ensure_ascii=False)
                    assert mark in text
                    assert "nas01 photos" in text
                    assert "/alerts/" in text
                    assert "@everyone" not in text
                server.got.clear()
            # The certificate is checked: this name is not in it.
            service.add_recipient("apprise", "google", url="gchat://team/key/token")
            service.report("videos", "failure")
            wait_until("an attempt", lambda: "temporary" in str(service.attempts("apprise")), 90)
            kept = service.stored() + str(service.attempts("apprise")).encode()
            assert not [chat.path for chat in SERVICES.values() if chat.path.rpartition("/")[2].encode() in kept]


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
