"""The actions and kinds in the audit log are German on the German page."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import app
from app.domain.audit_entry import AuditEntry
from app.http.pages.audit_texts import ACTIONS, FIELDS, NOUNS, audit_field, audit_word
from app.http.pages.languages import translations
from app.http.pages.service_audit import values_of
from app.store.agents import AGENTS
from app.store.customers import CUSTOMERS
from app.store.jobs import JOBS
from app.store.keys import KEYS, SHARE_LINKS
from app.store.mail_rules import MAIL_RULES
from app.store.people import PEOPLE
from app.store.relays import RELAYS
from app.store.routing import RECIPIENTS, ROUTES, RULES, SILENCES
from app.store.summaries import SUMMARY_SCHEDULES

_APP = Path(str(app.__file__)).parent


def _written(pattern: str, *folders: str) -> set[str]:
    files = [path for folder in folders for path in (_APP / folder).rglob("*.py")]
    return {word for path in files for word in re.findall(pattern, path.read_text())}


def test_each_action_that_is_recorded_has_its_word() -> None:
    written = _written(r'note\(\s*tx,\s*(?:by|Self[^"]*),\s*"([a-z -]+)"', "admin", "http")
    written |= _written(r'_decide\(tx, agent_id, AgentState\.\w+, "([a-z]+)"', "admin")
    assert len(written) > 20
    assert written - set(ACTIONS) == set()


def test_each_kind_that_is_recorded_has_its_word() -> None:
    written = _written(r'note\(\s*tx,\s*(?:by|Self[^"]*),\s*"[a-z -]+",\s*"([a-z -]+)"', "admin", "http")
    assert written - set(NOUNS) == set()
    for name in ("AGENTS", "CUSTOMERS", "JOBS", "RECIPIENTS", "ROUTES", "RULES", "SILENCES", "SUMMARY_SCHEDULES"):
        nouns = _written(rf'(?s)\b{name}[^=\n]*= .{{0,200}}?noun="([a-z -]+)"', "store")
        assert nouns - set(NOUNS) == set(), name


def test_each_field_that_is_recorded_has_its_words() -> None:
    edited = (AGENTS, CUSTOMERS, JOBS, RECIPIENTS, ROUTES, RULES, SILENCES, SUMMARY_SCHEDULES, KEYS, PEOPLE, RELAYS)
    written = {name for one in (*edited, SHARE_LINKS, MAIL_RULES) for name in one.edited}
    written |= _written(r'note\([^()]*(?:\([^()]*\)[^()]*)*\{"(\w+)":', "admin", "http")
    written |= _written(r'change = \{"(\w+)":', "admin")
    assert len(written) > 60
    assert written - set(FIELDS) == set()
    german = translations("de")
    same = {name for name, words in FIELDS.items() if audit_field(name, german) == words}
    assert same <= {"host", "job", "labels", "minute", "name", "position"}, "not translated"
    assert audit_field("new<field>", german) == '<span lang="en">new&lt;field&gt;</span>'


def test_they_are_german_and_unknown_ones_stay() -> None:
    german = translations("de")
    assert audit_word("create", german) == "hat angelegt:"
    assert audit_word("share link", german) == "Freigabelink"
    assert audit_word("something new", german) == "something new"
    assert audit_word("create", translations("en")) == "create"


@pytest.mark.parametrize(
    ("change", "english", "german"),
    [
        ({"role": ["reader", "owner"]}, ("reader", "owner"), ("Leser", "Inhaber")),
        (
            {"expectation": [None, {"cron": "0 3 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 0, "longest_s": None}]},
            ("-", "daily at 03:00 (UTC)"),
            ("-", "täglich um 03:00 (UTC)"),
        ),
        (
            {"matchers": [[], [{"field": "agent", "test": "like", "value": "sql*"}, {"field": "label:site", "test": "is", "value": "a"}]]},
            ("-", "agent is like “sql*”; label:site is “a”"),
            ("-", "Agent ist wie „sql*“; label:site ist „a“"),
        ),
        ({"matchers": [[], [{"what": "odd"}]]}, ("-", "what: odd"), ("-", "what: odd")),
        ({"expectation": [None, {"cron": "0 3 * * *"}]}, ("-", "cron: 0 3 * * *"), ("-", "cron: 0 3 * * *")),
        ({"ends_at": ["soon", "2026-11-28T11:28:45+01:00"]}, ("soon", datetime(2026, 11, 28, 10, 28, 45, tzinfo=UTC)), None),
        ({"enabled": [True, False]}, ("yes", "no"), ("ja", "nein")),
    ],
)  # fmt: skip
def test_values_are_shown_in_words(
    change: dict[str, object], english: tuple[object, ...], german: tuple[object, ...] | None
) -> None:
    entry = AuditEntry("aud_1", datetime(2026, 11, 28, tzinfo=UTC), "Ada", "change", "job", "job_1", change)
    for language, wanted in (("en", english), ("de", german or english)):
        [shown] = values_of(entry, translations(language))
        assert (shown.before, shown.after) == wanted
