"""Mail rules decide on every text that was read from words, whichever tool carried it, and on nothing else."""

import json

import pytest

from app.domain.event import Activity, RunOutcome
from app.domain.mail_rule import MailRule, ToolText, matching_rules
from app.intake.dialects import apprise, gotify, mail, ntfy, pushover
from app.intake.dialects.tool_request import Dialect, ToolRequest
from app.intake.rule_events import decide_by_rules

TITLE, TEXT = "Sicherung Fotos ist durch", "42 Kisten"
RULE = MailRule(
    "mrl_1", "Sicherung * ist durch", RunOutcome.SUCCESS, job="{1}", body="*Kisten*", activity=Activity.VERIFY
)
NAMING = MailRule("mrl_2", None, None, job="all of them", sender="*")


def as_json(**fields: str) -> ToolRequest:
    return ToolRequest(headers={"content-type": "application/json"}, body=json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("tool", "dialect", "request_"),
    [
        ("gotify", gotify.read, as_json(title=TITLE, message=TEXT)),
        ("ntfy", ntfy.read, ToolRequest(path=["backups"], headers={"title": TITLE}, body=TEXT.encode())),
        ("pushover", pushover.read, as_json(title=TITLE, message=TEXT)),
        ("apprise", apprise.read, as_json(title=TITLE, message=TEXT, type="info")),
        ("mail", mail.read, ToolRequest(body=f"Subject: {TITLE}\r\nFrom: a@b\r\n\r\n{TEXT}".encode())),
    ],
)
def test_a_rule_decides_on_the_text_of_any_tool(tool: str, dialect: Dialect, request_: ToolRequest):
    (event,) = decide_by_rules(dialect(request_), [RULE], tool)
    assert (event.get("job"), event.get("outcome"), event.get("activity"), event.get("phase")) == (
        "Fotos",
        "success",
        "verify",
        "finished",
    )
    assert (event.get("extra") or {})["reading"] == {"meaning": "success", "words": "", "rule": "mail rule mrl_1"}


def test_a_rule_without_an_outcome_only_names():
    (event,) = decide_by_rules(gotify.read(as_json(title="Fotos failed", message="disk full")), [NAMING], "gotify")
    assert (event.get("job"), event.get("outcome")) == ("all of them", "failure")


def test_an_outcome_that_a_field_stated_is_not_decided_by_rules():
    whole = mail.read(ToolRequest(body=b"Subject: [Failed] Docs\r\n\r\n"))
    assert decide_by_rules(whole, [MailRule("mrl_1", "*", RunOutcome.SUCCESS)], "mail") == whole


@pytest.mark.parametrize(
    ("rules", "ids"),
    [
        ([RULE], ["mrl_1"]),
        ([NAMING, RULE], ["mrl_1", "mrl_2"]),
        ([RULE, NAMING], ["mrl_1", "mrl_2"]),
        ([MailRule("mrl_3", "*", RunOutcome.FAILURE), RULE], ["mrl_3"]),
        ([MailRule("mrl_3", "nothing", RunOutcome.FAILURE)], []),
        ([], []),
    ],
)
def test_the_first_rule_that_decides_and_the_first_that_names_hold(rules: list[MailRule], ids: list[str]):
    assert [match.rule.id for match in matching_rules(rules, ToolText(TITLE, "a@b", TEXT))] == ids
