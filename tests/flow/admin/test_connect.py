"""The set-up lines that a person copies: every tool has some, and the service receives an event from each one that a shell can run."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.http.tools import mounts
from app.http.tools.setup_lines import TOOL_SETUPS, SetupValues, fill_in
from tests.support import curl
from tests.support.running import CLIENT, Running, serving, wait_until
from tests.support.sources import ROOT

CURLABLE = [row.tool for row in TOOL_SETUPS if row.tool != "mail"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("connect") / "var") as running:
        answer = CLIENT.post(
            f"{running.url}/v1/events",
            headers={"Authorization": f"Bearer {running.enrol_key}"},
            json={"agent": "nas01", "job": "photos", "outcome": "success"},
        )
        assert answer.is_success
        yield running


def agent_id(service: Running) -> str:
    [agent] = service.ask("/v1/agents", name="nas01")["items"]
    return agent["id"]


def connect(service: Running, tool: str, accept: str = "application/json") -> httpx.Response:
    return CLIENT.post(
        f"{service.url}/v1/connect",
        headers={"Authorization": f"Bearer {service.admin_key}", "Accept": accept},
        json={"agent_id": agent_id(service), "tool": tool, "job": "the photos"},
    )


def test_every_tool_that_is_served_has_lines_and_a_page() -> None:
    served = {mount.tool.name for mount in mounts.MOUNTS} | {tool.TOOL.name for tool in mounts.SEPARATE}
    assert served <= {row.tool for row in TOOL_SETUPS}
    assert not [row.tool for row in TOOL_SETUPS if not (ROOT / row.page).is_file()]
    assert len({row.tool for row in TOOL_SETUPS}) == len(TOOL_SETUPS)


@pytest.mark.parametrize("tool", CURLABLE)
def test_a_shell_line_is_received_as_a_failure(service: Running, tool: str, tmp_path: Path) -> None:
    made = connect(service, tool)
    assert made.status_code == 201, made.text
    [shown] = made.json()["tools"]
    text = " ".join([*shown["lines"], shown["example"]])
    assert not [word for word in ("<url>", "<host>", "<tls>", "<key>", "<job>", "<slug>") if word in text], text
    seen = {event["id"] for event in service.ask("/v1/events", agent_id=agent_id(service))["items"]}
    environment = {**os.environ, "PATH": curl.on_path(tmp_path / "bin") + os.environ["PATH"]}
    command = ["bash", "-o", "pipefail", "-c", shown["example"]]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, f"{shown['example']}: {ran.stderr}"
    new = [event for event in service.ask("/v1/events", agent_id=agent_id(service))["items"] if event["id"] not in seen]
    assert "failure" in {event["outcome"] for event in new}, new


def test_an_agent_gets_lines_with_its_own_key(service: Running) -> None:
    key = connect(service, "ntfy").json()["key"]
    asked = CLIENT.get(f"{service.url}/v1/connect", headers={"Authorization": f"Bearer {key}"})
    found = asked.json()
    assert (found["agent"], asked.headers["cache-control"]) == ("nas01", "no-store")
    assert all(key in " ".join([*tool["lines"], tool["example"]]) for tool in found["tools"])


def test_an_administrator_sees_a_placeholder_instead_of_a_key(service: Running) -> None:
    found = service.ask("/v1/connect", agent_id=agent_id(service), tool="restic", job="Größe & co")
    [tool] = found["tools"]
    assert "/in/restic/<key>?job=Gr%C3%B6%C3%9Fe%20%26%20co&" in tool["example"]
    assert service.admin_key not in str(found)


def test_a_request_for_plain_text_gets_plain_text(service: Running) -> None:
    answer = connect(service, "kopia", accept="text/plain")
    assert answer.headers["content-type"].startswith("text/plain")
    first, line, *_ = answer.text.split("\n")
    assert first == "# Kopia (docs/tools/kopia.md)"
    assert line.startswith("kopia notification profile configure webhook")


@pytest.mark.parametrize(("tool", "code"), [("healthchecks", "job_missing"), ("rsnapshot", "not_found")])
def test_an_unknown_tool_or_a_missing_job_is_refused(service: Running, tool: str, code: str) -> None:
    before = len(service.ask("/v1/keys")["items"])
    refused = CLIENT.post(
        f"{service.url}/v1/connect",
        headers={"Authorization": f"Bearer {service.admin_key}"},
        json={"agent_id": agent_id(service), "tool": tool},
    )
    assert refused.json()["code"] == code
    assert len(service.ask("/v1/keys")["items"]) == before


def test_an_agent_or_an_enrolment_key_gets_no_lines_of_another_agent(service: Running) -> None:
    key = connect(service, "ntfy").json()["key"]
    other = f"{service.url}/v1/connect?agent_id=agt_{'0' * 28}"
    assert CLIENT.get(other, headers={"Authorization": f"Bearer {key}"}).status_code == 403
    enrols = {"Authorization": f"Bearer {service.enrol_key}"}
    assert CLIENT.get(f"{service.url}/v1/connect", headers=enrols).status_code == 403


def test_a_job_name_cannot_inject_shell_words() -> None:
    place = SetupValues("https://tocsin.example.org/b", "k", "'; reboot <key> $(x) \"")
    for row in TOOL_SETUPS:
        for line in (*row.lines, row.example):
            filled = fill_in(line, place)
            assert "reboot <key>" not in filled
            assert "$(x)" not in filled
            assert "'; reboot" not in filled
    assert fill_in("json<tls>://<host>/in", place) == "jsons://tocsin.example.org/b/in"


def test_the_service_decides_on_every_received_event(service: Running) -> None:
    wait_until("the decisions", lambda: not service.ask("/v1/events", state="new")["items"])
    assert not service.ask("/v1/events", state="set_aside")["items"]
