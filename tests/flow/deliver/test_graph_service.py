"""A service whose only mail system is Exchange Online: from an event to the mail and its evidence, with a certificate in place of a password."""

import email
from email import policy
from pathlib import Path

import pytest

from app.compose.link_tokens import mail_without_tokens
from tests.support.graph_server import MAILBOX, GraphServer, graph_server_in_thread
from tests.support.running import CLIENT, Running, serving, wait_until
from tests.support.token_server import make_certificate

ANN = "ann@example.org"


def settings_of(graph: GraphServer, certificate: Path) -> dict[str, str]:
    given = graph.settings | {"oauth_certificate_file": str(certificate), "admin_email": ANN}
    del given["oauth_client_secret"]
    return {f"TOCSIN_{name.upper()}": value for name, value in given.items()}


def report(service: Running, outcome: str) -> None:
    key = {"Authorization": f"Bearer {service.enrol_key}"}
    event = {"agent": "srv1", "job": "nightly", "phase": "finished", "outcome": outcome, "message": "disk full"}
    CLIENT.post(f"{service.url}/v1/events", headers=key, json=event).raise_for_status()


def sent_messages(service: Running, number: int) -> list[dict]:
    found = service.ask("/v1/messages", state="sent")["items"]
    return [service.ask(f"/v1/messages/{one['id']}") for one in found] if len(found) >= number else []


@pytest.mark.slow
def test_a_failure_arrives_through_graph_with_the_request_id_as_evidence(tmp_path: Path) -> None:
    with graph_server_in_thread() as graph:
        graph.tokens.certificate = make_certificate(tmp_path / "app.pem")
        with serving(tmp_path / "var", **settings_of(graph, tmp_path / "app.pem")) as service:
            assert "ann@example.org over Microsoft Graph" in (service.folder / "service.log").read_text()
            admin = {"Authorization": f"Bearer {service.admin_key}"}
            report(service, "failure")
            (message,) = wait_until("the mail", lambda: sent_messages(service, 1))
            raw = CLIENT.get(f"{service.url}/v1/messages/{message['id']}/raw", headers=admin).content
            assert [mail_without_tokens(mail) for mail in graph.mails] == [raw]
            (attempt,) = message["tries"]
            assert (message["transport"], attempt["outcome"], attempt["code"]) == ("graph", "sent", "202")
            assert attempt["text"].startswith("handed to Exchange Online, request id req-1, client-request-id ")
            assert attempt["evidence"]["request_id"] == "req-1"
            graph.revoke_all()
            tested = CLIENT.post(f"{service.url}/v1/transports/graph:test", headers=admin, json={"address": ANN}).json()
            assert (tested["outcome"], tested["code"]) == ("sent", "202")
            assert email.message_from_bytes(raw, policy=policy.SMTP)["from"].addresses[0].addr_spec == MAILBOX
            checks = {check["name"]: check for check in CLIENT.get(f"{service.url}/readyz").json()["checks"]}
            assert (checks["transport graph"]["status"], checks["credential"]["status"]) == ("ok", "ok")
            found = service.tocsin("doctor").stdout
            assert "No mail server" not in found
            assert "- Only a test mail shows whether Tocsin may send by Exchange Online" in found
