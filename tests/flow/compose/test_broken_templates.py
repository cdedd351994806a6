"""With every template broken, alerts are mailed as plain text, and a summary that cannot be rendered is reported by such a mail. On both databases."""

from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from jinja2 import DictLoader

from app.compose import render
from app.compose import tick as compose
from app.decide import uncomposed
from app.domain.uncomposed import JOB
from app.store.tables import messages, notices
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


@pytest.fixture(params=["{% broken", "{{ no_such_value }}", None])
def _broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the files of all templates, or take them away."""
    names = ("alert.html", "alert.txt", "summary.html", "summary.txt", "base.html")
    files = {} if request.param is None else dict.fromkeys(names, request.param)
    monkeypatch.setattr(render._TEMPLATES, "loader", DictLoader(files))
    monkeypatch.setattr(render._TEMPLATES, "cache", {})


@pytest.mark.usefixtures("_broken")
async def test_alerts_and_their_ends_are_mailed_all_the_same(system: SystemUnderTest) -> None:
    for job in ("a", "b"):
        await system.receive(job=job, outcome="failure", message="repository\r\nSubject: x is locked")
    await system.decide()
    await compose.tick(system.context)
    [first] = await system.mails(messages.c.is_alert)
    mail = message_from_bytes(first.mail, policy=policy.default)
    assert mail["subject"].startswith("[FAILED] ")
    assert mail["subject"].endswith(" and 1 more")
    text = mail.get_body(("plain",)).get_content()
    assert "[FAILED] a on sql01" in text
    assert "[FAILED] b on sql01" in text
    assert "repository Subject: x is locked" in text
    assert "templates of this service fail" in text
    for job in ("a", "b"):
        await system.receive(job=job, outcome="success")
    await system.decide()
    system.pass_time(minutes=10)
    await compose.tick(system.context)
    assert (await system.mails(messages.c.is_alert))[-1].subject.startswith("[RECOVERED: FAILED] ")


@pytest.mark.usefixtures("_broken")
async def test_a_summary_without_a_template_is_reported_by_a_mail_that_needs_none(system: SystemUnderTest) -> None:
    await system.receive(job="a", outcome="success")
    system.pass_time(days=1)
    for _ in range(4):
        await system.decide()
        await compose.tick(system.context)
        await uncomposed.tick(system.context)
        system.pass_time(minutes=6)
    await system.decide()
    await compose.tick(system.context)
    [summary, *_] = await system.rows(notices, notices.c.what == "summary")
    assert summary.state == "waiting"
    assert any(JOB in one.subject for one in await system.mails(messages.c.is_alert))
