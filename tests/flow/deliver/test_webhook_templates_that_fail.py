"""A template of an owner that fails for real messages: the message arrives all the same, the attempt and the doctor say why, and nothing waits for it."""

import json
from pathlib import Path

import pytest

from tests.support.chat_server import chat_server
from tests.support.reporting import pushing_service
from tests.support.running import wait_until

pytestmark = pytest.mark.slow
LOOPS = '{% if data.alerts[0].job == "photos" %}{% for a in data|tojson %}{% for b in data|tojson %}BODY{% endfor %}{% endfor %}{% endif %}'
# Each of them works with the examples with which it is tested when it is saved.
TEMPLATES = {
    "no JSON": '{"text": {% if data.alerts[0].job == "photos" %}oops{% else %}1{% endif %}}',
    "without end": '{"a": "' + LOOPS.replace("BODY", '{% if a == "x" and b == "y" %}1{% endif %}') + '"}',
    "huge": '{"a": "' + LOOPS.replace("BODY", "x" * 500) + '"}',
}
REASONS = {"no JSON": "is not JSON", "without end": "takes longer than 0.5 s", "huge": "is longer than 1000000"}
MISSING = '{"text": {{ data.no.such.thing | tojson }}}'


def test_it_is_sent_as_the_standard_document_and_nothing_waits(tmp_path: Path):
    with chat_server() as server, pushing_service(tmp_path / "var") as service:
        here = f"http://127.0.0.1:{server.port}"
        service.add_recipient("webhook", f"{here}/missing", goes_on=True, template=MISSING)
        for number, template in enumerate(TEMPLATES.values()):
            service.add_recipient("webhook", f"{here}/{number}", goes_on=True, template=template)
        service.report("photos", "failure", "z" * 1000)
        got = wait_until("all messages", lambda: _by_path(server.got) if len(server.got) >= 4 else None, 60)
        assert json.loads(got.pop("/missing")) == {"text": None}
        assert {path: json.loads(body)["data"]["alerts"][0]["job"] for path, body in got.items()} == dict.fromkeys(
            ("/0", "/1", "/2"), "photos"
        )
        texts = wait_until("the attempts", lambda: _texts(service.attempts("webhook")), 30)
        for reason in REASONS.values():
            [text] = [one for one in texts if reason in one]
            assert text.startswith("the template failed, so the standard document was sent: ")
        found = json.loads(service.running.tocsin("doctor", "--json").stdout)["checks"]
        lines = [one for one in found if "the template failed" in one["text"]]
        assert len(lines) == len(TEMPLATES)
        assert all(one["state"] == "problem" and "correct the template" in one["remedy"] for one in lines)


def _by_path(got: list[tuple[str, str]]) -> dict[str, str]:
    return dict(got)


def _texts(attempts: list[dict]) -> list[str]:
    texts = [one["text"] for one in attempts if one["outcome"] == "sent"]
    return texts if len(texts) >= 4 else []
