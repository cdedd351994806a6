"""Checks the documents against the service: runs their examples, compares their tables with the code, and follows their links."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.lazy_group import COMMANDS, load_command
from app.cli.mail_setup.systems import MailSystem
from app.core.settings import Settings
from app.deliver.transports.webhook import sign, signing_secret
from app.intake.language.words_file import TermMeaning, languages
from app.intake.parse import WireEvent
from tests.support import curl, settings_page
from tests.support.running import CLIENT, Running, serving, wait_until
from tests.support.sources import ROOT, sources

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HERE = "http://127.0.0.1:8000"
TOOL_LINES = 40
SECTION_LINES = 20
LARGEST_PICTURE_BYTES = 120_000
SHELL = "set -euo pipefail\n"


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


WITH_EXAMPLES = [page for page in PAGES if _blocks(page, "sh")]
TOOLS = sorted((ROOT / "docs" / "tools").glob("*.md"))
WITH_TRIALS = [page for page in TOOLS if _blocks(page, "sh")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("docs") / "var") as running:
        event = {"agent": "sql01", "job": "nightly-sql", "outcome": "failure", "message": "repository is locked"}
        headers = {"Authorization": f"Bearer {running.enrol_key}"}
        CLIENT.post(f"{running.url}/v1/events", json=event, headers=headers).raise_for_status()
        wait_until("the alert", lambda: running.ask("/v1/alerts", state="open")["items"])
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_the_examples_of_a_page_work_from_top_to_bottom(page: Path, service: Running, tmp_path: Path):
    # Each page is read on its own; alerts.md closes the alert that it needs, so it is opened again before each page.
    _fail_again(service)
    script = SHELL + "\n".join(_blocks(page, "sh")).replace(HERE, service.url)
    environment = {
        "PATH": curl.on_path(tmp_path / "bin") + os.environ["PATH"],
        "ADMIN_KEY": service.admin_key,
        "ENROL_KEY": service.enrol_key,
        "LC_ALL": "C.UTF-8",
    }
    ran = subprocess.run(
        ["bash", "-x"], input=script, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]


@pytest.mark.parametrize("page", WITH_TRIALS, ids=lambda page: page.name)
def test_the_trial_on_a_tool_s_page_leads_to_the_failed_job_that_it_names(page: Path, service: Running, tmp_path: Path):
    script = SHELL + "\n".join(_blocks(page, "sh")).replace("http://tocsin:8000", service.url)
    environment = {"PATH": curl.on_path(tmp_path / "bin") + os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(
        ["bash", "-x"],
        input=script.replace("<key>", service.enrol_key),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    [named] = re.findall(
        r"^You then see the job `([^`]+)` failed", page.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    wait_until(
        f"the job {named}",
        lambda: [job for job in service.ask("/v1/jobs", name=named)["items"] if job["state"] == "failed"],
    )


@pytest.mark.parametrize("page", TOOLS, ids=lambda page: page.name)
def test_a_tool_s_page_is_short_and_its_links_have_a_target(page: Path):
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= TOOL_LINES
    assert [name for name in re.findall(r"\]\(([^)\s#:]+)\)", text) if not (page.parent / name).exists()] == []


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_a_failing_example_fails_the_test(page: Path):
    """curl exits with 0 on a 4xx answer unless it is run with -f."""
    text = "\n".join(_blocks(page, "sh"))
    assert text.count("curl ") == len(re.findall(r"curl (?:--fail-with-body|-f)", text))


def test_the_page_about_languages_explains_each_meaning_and_names_each_language():
    text = (ROOT / "docs" / "languages.md").read_text(encoding="utf-8")
    explained = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+)\|", text, flags=re.MULTILINE)))
    assert sorted(explained) == sorted(TermMeaning)
    assert [code for code in languages() if f"`{code}`" not in text and f"`{code}.tsv`" not in text] == []


def test_each_page_is_in_the_navigation_of_the_site():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    docs = ROOT / "docs"
    pages = [str(page.relative_to(docs)) for page in sorted(docs.rglob("*.md"))]
    assert [page for page in pages if f" {page}\n" not in nav] == []


def _fail_again(service: Running) -> None:
    headers = {"Authorization": f"Bearer {service.enrol_key}"}
    for outcome in ("success", "failure"):
        event = {"agent": "sql01", "job": "nightly-sql", "outcome": outcome, "key": f"{outcome}-{time.time_ns()}"}
        CLIENT.post(f"{service.url}/v1/events", json=event, headers=headers).raise_for_status()
        time.sleep(0.01)
    wait_until("the events to be decided", lambda: not service.ask("/v1/events", state="new")["items"])
    wait_until("the alert", lambda: service.ask("/v1/alerts", state="open")["items"])


def test_the_settings_page_matches_the_settings():
    """Write it again: .venv/bin/python -m tests.support.settings_page"""
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page()


def test_every_setting_is_described_once():
    listed = [name for names in settings_page.GROUPS.values() for name in names]
    assert sorted(listed) == sorted(Settings.model_fields)
    assert all(field.description for field in Settings.model_fields.values())


def test_the_page_for_agents_names_every_field():
    text = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    assert {name for name in WireEvent.__annotations__ if f"| `{name}` |" not in text} == set()


def test_the_page_for_agents_names_every_code_and_flag():
    text = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    codes = {
        code
        for source in sources("app/intake")
        for pattern in (
            r'code="(\w+)"',
            r'EventRejection\([^"\n]*"(\w+)"',
            r'(?:flags|\[\]\))\.append\("(\w+)"\)',
            r'flags = \("(\w+)",\)',
        )
        for code in re.findall(pattern, source.text)
    }
    assert {"bad_time", "clock_ahead", "text_replaced", "body_cut", "not_storable"} <= codes
    assert {code for code in codes if f"`{code}`" not in text} == set()


@pytest.mark.parametrize("name", ["docs/operate.md", "deploy/prometheus-rules.yaml"])
def test_the_metrics_named_there_exist(name: str, service: Running):
    text = CLIENT.get(f"{service.url}/metrics").raise_for_status().text
    headers = {"Authorization": f"Bearer {service.admin_key}"}
    text += CLIENT.get(f"{service.url}/metrics/jobs", headers=headers).raise_for_status().text
    known = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))
    named = set(re.findall(r"\btocsin_(?!agent|admin|enrol)\w+", (ROOT / name).read_text(encoding="utf-8")))
    assert named
    assert named <= known


def test_every_metric_is_on_the_page_for_operators(service: Running):
    text = CLIENT.get(f"{service.url}/metrics").raise_for_status().text
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    assert {
        name
        for name in re.findall(r"^# TYPE (tocsin_\w+)", text, flags=re.MULTILINE)
        if name not in text and not name.endswith("_created")
    } == set()


def test_the_webhook_check_of_its_page_accepts_only_our_signature():
    names: dict = {}
    [code] = _blocks(ROOT / "docs" / "webhooks.md", "python")
    exec(compile(code, "docs/webhooks.md", "exec"), names)
    secret, body, now = (
        signing_secret(b"ours", "rcp_1"),
        json.dumps({"type": "alert.opened"}).encode(),
        int(time.time()),
    )
    headers = {
        "webhook-id": "<msg_1@x>",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, "<msg_1@x>", now, body),
    }
    is_from_tocsin = names["is_from_tocsin"]
    assert is_from_tocsin(secret, headers, body)
    assert not is_from_tocsin(secret, headers, body + b" ")
    assert not is_from_tocsin(signing_secret(b"theirs", "rcp_1"), headers, body)
    old = now - 3600
    stale = {**headers, "webhook-timestamp": str(old), "webhook-signature": sign(secret, "<msg_1@x>", old, body)}
    assert not is_from_tocsin(secret, stale, body)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_have_a_target(page: Path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        if "://" in target:
            continue
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (heading and heading not in _headings(path)):
            broken.append(target)
    assert not broken


def test_each_picture_exists_is_shown_by_a_page_and_is_small():
    """Make them again: make pictures"""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    shown = {
        (page.parent / name).resolve()
        for page in pages
        for name in re.findall(r"(?:\]\(|src=\")([^)\"\s:]+\.png)", page.read_text(encoding="utf-8"))
    }
    assert shown == set((ROOT / "docs/pictures").glob("*.png"))
    assert {path.name for path in shown if path.stat().st_size > LARGEST_PICTURE_BYTES} == set()


def _headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings: lower case, no punctuation, spaces as dashes."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_commands_named_in_the_pages_exist():
    code = "\n".join(text for page in PAGES for text in _code(page))
    named = set(re.findall(r"\btocsin ((?:keys |setup )?[a-z][a-z-]+)((?: --[a-z-]+)*)", code))
    assert {"serve", "worker", "migrate", "doctor"} <= {command for command, _ in named}
    assert not {command for command, options in named if not _is_known(command, options.split())}


def test_the_pages_name_every_command():
    text = " ".join(text for page in PAGES for text in _code(page))
    assert not {name for name in COMMANDS if f"tocsin {name}" not in text} - {"openapi", "demo"}


def test_the_page_about_mail_begins_with_each_mail_system_and_a_short_section_about_it():
    text = (ROOT / "docs" / "mail.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| Your mail system .*\n\|[-|]+\|\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    titles = re.findall(r"\| \[([^]]+)\]\(#[^)]+\) \|$", table, flags=re.MULTILINE)
    assert len(titles) == len(MailSystem)
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)+)", text, flags=re.MULTILINE))
    for title, system in zip(titles, MailSystem, strict=True):
        assert f"tocsin setup mail --yes --system {system} " in sections[title]
        assert len(sections[title].strip().splitlines()) <= SECTION_LINES, title


def _is_known(command: str, options: list[str]) -> bool:
    first, *others = command.split()
    if first not in COMMANDS:
        return False
    found: Any = load_command(first)
    for name in others:
        found = getattr(found, "commands", {}).get(name)
        if found is None:
            return False
    return set(options) <= {option for parameter in found.params for option in parameter.opts}


def _code(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(r"`([^`\n]+)`", text) + _blocks(page, "console")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_named_in_the_pages_exist(page: Path):
    known = {f"TOCSIN_{name.upper()}" for name in Settings.model_fields} | {"TOCSIN_CONFIG"}
    known |= {f"TOCSIN_RELAY_{name}" for name in ("KEY", "PASSWORD", "HOME")}  # programs/relay/settings.py
    found = set(re.findall(r"\bTOCSIN_[A-Z0-9_]+[A-Z0-9]", page.read_text(encoding="utf-8")))
    assert {
        name for name in found if name.removesuffix("_FILE") not in known and name not in known and name != "TOCSIN_X"
    } == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_named_in_the_pages_exist(page: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {name for code in _code(page) for name in re.findall(r"\bmake ([a-z-]+)\b", code)}
    assert named <= targets


def test_the_log_lines_named_for_operators_exist():
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| line \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    named = re.findall(r"^\| `([^`]+)`", table, flags=re.MULTILINE)
    code = "\n".join(source.text for source in sources("app"))
    assert named
    assert not [line for line in named if f'"{line}"' not in code]
