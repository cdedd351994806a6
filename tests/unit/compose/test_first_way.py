"""By which transport an alert leaves first: never by the one that it reports as failing, if there is any other."""

import pytest

from app.compose import alert_mail
from app.compose.first_way import first_way, ways_in_doubt
from app.domain.recipient import Address
from tests.support.mail_views import make_alert_view, recovered

SMTP, GRAPH, MAPI = (Address(kind, "ann@example.org") for kind in ("smtp", "graph", "mapi"))
HOOK, FILE = Address("webhook", "https://chat.example.org/hook"), Address("file", "ann@example.org")


@pytest.mark.parametrize(
    ("agent", "job", "in_doubt"),
    [
        ("Tocsin", "mail by smtp", {"smtp"}),
        ("Tocsin", "mail by graph", {"graph"}),
        ("Tocsin", "mail by relay mailhost", {"mapi"}),
        ("relay mailhost", "mail relay", {"mapi"}),
        ("relay mailhost", "nightly-sql", set()),
        ("sql01", "mail relay", set()),
        ("sql01", "mail by smtp", set()),
        ("sql01", None, set()),
    ],
)
def test_what_an_alert_puts_in_doubt(agent: str, job: str | None, in_doubt: set[str]):
    view = make_alert_view(agent=agent, job=job)
    assert ways_in_doubt([make_alert_view(2), view]) == in_doubt
    assert ways_in_doubt([recovered(view)]) == frozenset()  # it works again


@pytest.mark.parametrize(
    ("addresses", "in_doubt", "others", "first"),
    [
        pytest.param([SMTP, MAPI], set(), [], (0, SMTP), id="no doubt: the first choice"),
        pytest.param([SMTP, MAPI], {"smtp"}, [], (1, MAPI), id="the next one"),
        pytest.param([SMTP, HOOK], {"smtp"}, [], (1, HOOK), id="a webhook is another way"),
        pytest.param([HOOK, SMTP], {"smtp"}, [], (0, HOOK), id="the first choice is another way already"),
        pytest.param([SMTP, FILE], {"smtp"}, [], (1, FILE), id="a file that the recipient asked for"),
        pytest.param(
            [SMTP], {"smtp"}, ["smtp", "graph"], (1, GRAPH), id="a transport that the recipient does not name"
        ),
        pytest.param([SMTP], {"smtp"}, ["mapi", "smtp"], (1, MAPI), id="a relay that the recipient does not name"),
        pytest.param([MAPI], {"mapi"}, ["smtp"], (1, SMTP), id="from the relay to SMTP"),
        pytest.param([SMTP, MAPI], {"smtp", "mapi"}, ["graph"], (2, GRAPH), id="both of its ways are in doubt"),
        pytest.param([SMTP], {"smtp"}, ["smtp"], (0, SMTP), id="there is no other way: better this than none"),
        pytest.param([SMTP, MAPI], {"smtp", "mapi"}, ["smtp", "mapi"], (0, SMTP), id="all are in doubt"),
    ],
)
def test_the_first_way(addresses: list[Address], in_doubt: set[str], others: list[str], first: tuple[int, Address]):
    assert first_way(addresses, (), in_doubt, others) == first


def test_the_mail_about_a_lost_canary_says_what_to_do():
    message = "The canary mail of 05:12 UTC by smtp was lost: it did not arrive within 15 min, although smtp accepted it (550 denied)."
    mail = alert_mail.render(
        [make_alert_view(agent="Tocsin", job="mail by smtp", activity="other", message=message)], base_url="http://t"
    )
    assert mail.subject.startswith("[FAILED] mail by smtp on Tocsin")
    assert "in the spam folder of the mailbox of TOCSIN_BOUNCE_ADDRESS" in " ".join(mail.text.split())
