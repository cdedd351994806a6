"""Real borgmatic makes real backups and reports by each of its own hooks: only the address is set, nothing else is changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.borgmatic import DEBIAN, Backup, program
from tests.support.tools import Heard, hearing

pytestmark = pytest.mark.needs("borg")
NEEDED = {"debian": pytest.mark.needs(DEBIAN), "pypi": pytest.mark.needs("tools:borgmatic")}
SOURCES = [pytest.param(source, marks=mark) for source, mark in NEEDED.items()]


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


@pytest.fixture
def backup(source: str, tmp_path: Path) -> Backup:
    made = Backup(tmp_path, program(source))
    made.prepare()
    return made


@pytest.mark.parametrize("source", SOURCES)
def test_a_backup_that_works_and_one_that_fails(heard: Heard, backup: Backup, source: str):
    job = f"hc {source}"
    hook = {"healthchecks": {"ping_url": f"{heard.running.url}/ping/{heard.key('uuid', job)}", "send_logs": True}}
    assert backup.run(hook, "create", "--stats") == 0
    assert heard.job(job, "ok")["last_outcome"] == "success"
    assert backup.run(hook, "create", repo="missing") != 0
    failing = heard.job(job, "failed")
    end = next(event for event in heard.events(job) if event["outcome"] == "failure")
    assert "missing" in end["log"]
    (alert,) = [one for one in heard.running.ask("/v1/alerts", state="open")["items"] if one["job_id"] == failing["id"]]
    assert alert["kind"] == "failed"
    assert backup.run(hook, "create") == 0
    heard.job(job, "ok")


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_that_cannot_be_read_is_never_a_plain_success(heard: Heard, backup: Backup, source: str):
    job = f"partial {source}"
    hook = {"healthchecks": {"ping_url": f"{heard.running.url}/{heard.key('uuid', job)}", "send_logs": True}}
    locked = backup.source / "db/locked.db"
    locked.write_text("secret", encoding="utf-8")
    locked.chmod(0)
    code = backup.run(hook, "create", "--list", rights=False)
    end = [event for event in heard.events(job) if event["outcome"]][-1]
    assert end["outcome"] == ("failure" if code else "warning")
    assert "locked.db" in (end["log"] if code else end["message"])


@pytest.mark.parametrize("source", [pytest.param("pypi", marks=NEEDED["pypi"])])
def test_a_new_slug_creates_a_job_that_is_expected_daily(heard: Heard, backup: Backup, source: str):
    address = f"{heard.running.url}/ping/{heard.key('token')}/made-by-borgmatic"
    assert backup.run({"healthchecks": {"ping_url": address, "create_slug": True}}, "create") == 0
    assert heard.job("made-by-borgmatic", "ok")["expectation"]["period_s"] == 86_400


HOOKS = {
    "uptime_kuma": lambda url, key: {"push_url": f"{url}/api/push/{key}"},
    "cronitor": lambda url, key: {"ping_url": f"{url}/in/cronitor/{key}"},
    "cronhub": lambda url, key: {"ping_url": f"{url}/start/{key}"},
    "sentry": lambda url, key: {
        "data_source_name_url": url.replace("://", f"://{key}@") + "/1",
        "monitor_slug": "by sentry".replace(" ", "-"),
    },
    "zabbix": lambda url, key: {"server": f"{url}/in/zabbix/{key}/api_jsonrpc.php", "itemid": 1, "api_key": "any"},
    "loki": lambda url, key: {
        "url": f"{url}/in/loki/{key}/loki/api/v1/push",
        "labels": {"app": "borgmatic", "hostname": "__hostname"},
    },
    "apprise": lambda url, key: {
        "services": [{"url": f"json{url.removeprefix('http')}/in/apprise/{key}", "label": "tocsin"}],
    },
    "ntfy": lambda url, key: {
        "server": f"{url}/in/ntfy/{key}",
        "topic": "photos",
        "fail": {"title": "Backup failed", "message": "see the log", "tags": "rotating_light"},
    },
}


# PyPI's has no Cronhub any more, and Debian's is too old for most others.
SOURCE_OF = {hook: "debian" if hook == "cronhub" else "pypi" for hook in HOOKS}
WITH_SOURCES = [pytest.param(hook, source, marks=NEEDED[source]) for hook, source in SOURCE_OF.items()]


@pytest.mark.parametrize(("hook", "source"), WITH_SOURCES)
def test_its_other_hooks_report_the_same_outcomes(heard: Heard, backup: Backup, hook: str, source: str):
    job = f"by-{hook}"
    settings = {hook: HOOKS[hook](heard.running.url, heard.key("uuid", job))}
    states = ["start", "finish", "fail"]
    settings[hook] |= {} if hook in ("cronitor", "cronhub", "loki") else {"states": states}
    assert backup.run(settings, "create") == 0, (backup.folder / "last.log").read_text(encoding="utf-8")
    heard.job(job, "ok")
    assert backup.run(settings, "create", repo="missing") != 0
    heard.job(job, "failed")
    assert [event["phase"] for event in heard.events(job) if event["phase"] == "started"] == ["started"] * 2
