"""What `tocsin doctor` finds is in the reader's language on the page Service."""

import ast
from pathlib import Path
from types import ModuleType

import pytest
from markupsafe import Markup

from app.cli import (
    access_checks,
    bounce_check,
    canary_check,
    disk_check,
    dkim_check,
    doctor,
    heartbeat_check,
    identity_provider_check,
    mail_server_check,
    shared_services_check,
    unreadable_check,
)
from app.deliver.transports.remedies import all_remedies
from app.deliver.transports.smtp_refusals import REMEDIES
from app.http.pages.checks import check_text
from app.http.pages.doctor_texts import doctor_text
from app.http.pages.languages import translations
from tests.support.written_texts import texts_in


def texts_of(module: ModuleType) -> list[str]:
    """Return each finding and remedy that is written in a module, with a word in the place of each value, as the page gets it."""
    found = []
    for call in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "DoctorFinding":
            for node in call.args[1:]:
                written = node.body if isinstance(node, ast.IfExp) else node
                if isinstance(written, ast.Name) and isinstance(constant := getattr(module, written.id, None), str):
                    found.append(constant)
                elif isinstance(written, ast.Constant):
                    found.append(str(written.value))
                elif isinstance(written, ast.JoinedStr):
                    parts = [str(it.value) if isinstance(it, ast.Constant) else "X7" for it in written.values]
                    found.append("".join(parts))
    return [text.removesuffix(":") + "." if text.endswith(":") else text for text in found if text]


@pytest.mark.parametrize("module", [doctor, heartbeat_check, unreadable_check], ids=["doctor", "heartbeat", "rows"])
def test_findings_and_remedies_are_german_on_a_german_page(module: ModuleType) -> None:
    written = texts_of(module)
    code = ("POST /v1/", "PATCH /v1/", "GET /v1/events")  # an operation alone is the same in each language
    german = translations("de")
    left = [text for text in written if isinstance(doctor_text(text, german), Markup)]
    assert len(written) >= 3
    assert [text for text in left if text not in ("X7", "X7.") and not text.startswith(code)] == []


def test_values_stay_and_what_is_unknown_is_marked_as_english() -> None:
    german = translations("de")
    assert (
        doctor_text("Agents that do not report any more: a, b.", german) == "Agenten, die nicht mehr berichten: a, b."
    )
    assert doctor_text("Agents that do not report any more: a, b.", translations("en")).endswith("more: a, b.")
    assert doctor_text("<b>", german) == '<span lang="en">&lt;b&gt;</span>'


# Parts of texts that are put together there from pieces; `test_each_line_of_the_checks_is_german` has the whole texts.
_FRAGMENTS = {
    "Mails that come back are not noticed: with TOCSIN_BOUNCE_ADDRESS, an alert that comes back goes by the recipient's next transport.",
    "The mailbox of TOCSIN_MAILBOX_URL (success at success, folder success)",
    "success See docs/mail-bounces.md.",
    "success was never read: the worker does that, see its log.",
    "success cannot be read since success UTC: success.",
    "success was last read success UTC: the worker does that, see its log.",
    "The database was put back to an older state, noticed success UTC: of the schedule 'success', success sent and not known here.",
    "Publish the TXT record success with: success",
    "Mails are signed with DKIM, but the record in DNS has another key, so every signature is wrong. success",
    "Mails are signed with DKIM, but DNS has no record of the key, so every signature is wrong. success",
    "The mail server success cannot be used now: success success. success",
    "no answer in time",
    "add success to the names in the options of the recipient (PATCH /v1/recipients/<id>), and define services with these names there",
    "rename one of each: characters that names may not have there are replaced, so the names are the same there",
    *("success (success) on success of success", ", …", "; ", "success of success for success and success"),
    *("transport success", "To tell them apart, success."),
    (
        "success job(s) have the same service at success (recipient success) as another job: successsuccess. While an alert of one of them "
        "is open, the service does not become OK, and it does not show which job it is."
    ),
}


@pytest.mark.parametrize(
    "module",
    [
        *(access_checks, bounce_check, canary_check, dkim_check, disk_check),
        *(identity_provider_check, mail_server_check, shared_services_check),
    ],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_no_check_writes_a_line_without_its_german(module: ModuleType) -> None:
    written = [text for text in texts_in(Path(str(module.__file__))) if text not in _FRAGMENTS]
    assert [text for text in written if str(doctor_text(text, translations("de"))).startswith("<span")] == []


@pytest.mark.parametrize("remedy", sorted(all_remedies()))
def test_each_remedy_is_german(remedy: str) -> None:
    assert not isinstance(doctor_text(remedy, translations("de")), Markup)
    assert not isinstance(check_text(f"the last attempt ended temporary. {remedy}", translations("de")), Markup)


_LINES = [
    "Mails that come back are not noticed: with TOCSIN_BOUNCE_ADDRESS, an alert that comes back goes by the recipient's next transport. See docs/mail-bounces.md.",
    "The mailbox of TOCSIN_MAILBOX_URL (kim at mail.example.org, folder INBOX) was never read: the worker does that, see its log.",
    "The mailbox of TOCSIN_MAILBOX_URL (kim at mail.example.org, folder INBOX) was last read 2026-11-27 02:43 UTC: the worker does that, see its log.",
    "The canary mail of 2026-11-27 02:43 UTC by smtp was lost: it did not leave within 15 min. Mails sent this way may not arrive. See GET /v1/canaries.",
    "The database was put back to an older state, noticed 2026-11-27 02:43 UTC: of the schedule 'daily', summaries no. 40 to 42 were sent and not known here.",
    "The database was put back to an older state, noticed 2026-11-27 02:43 UTC: of the schedule 'daily', summary no. 42 was sent and not known here.",
    "Mails are signed with DKIM, but DNS has no record of the key, so every signature is wrong. Publish the TXT record s._domainkey.example.org with: v=DKIM1; p=abc",
    "The transport graph gets no access token: invalid_client.",
    "The secret in TOCSIN_OAUTH_CLIENT_SECRET expired on 2026-11-20, so mail that needs it does not leave: create a new one (docs/graph.md).",
    ("3 job(s) have the same service at icinga (recipient Icinga) as another job: 'shares' of 'files01' for shares (backup) on files01 of Acme and shares (verify) on "
    "files01 of Acme. While an alert of one of them is open, the service does not become OK, and it does not show which job it is."),
    "To tell them apart, add {activity} to the names in the options of the recipient (PATCH /v1/recipients/<id>), and define services with these names there.",
    "To tell them apart, rename one of each: characters that names may not have there are replaced, so the names are the same there.",
    "Your mail took 4 s on average in the last 30 days, the slowest 3 min. 1 of 30 test mails did not arrive.",
    "Nothing can be written in /var/lib/tocsin: the disk is full. To mend it, free some space on it; Tocsin then goes on by itself.",
    "Relay win01 has not reported since 2026-11-27 02:43 UTC.",
]  # fmt: skip


@pytest.mark.parametrize("line", _LINES)
def test_each_line_of_the_checks_is_german(line: str) -> None:
    assert not isinstance(doctor_text(line, translations("de")), Markup)


def test_what_a_mail_server_answers_stays_and_what_to_do_is_german() -> None:
    answer = "535 5.7.8 Refused. Ask <them>. Check host and port"
    line = f"The mail server mail.example.org:587 cannot be used now: {answer}. {REMEDIES['connect']}"
    assert doctor_text(line, translations("de")) == (
        f"Der Mailserver mail.example.org:587 ist jetzt nicht benutzbar: {answer}. "
        "Prüfen Sie Host und Port in TOCSIN_SMTP_URL, und ob eine Firewall die Verbindung sperrt."
    )
