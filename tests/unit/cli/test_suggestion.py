"""Which mail system is suggested for an address, from real answers of a DNS server."""

import time

import dns.rcode
import pytest

from app.cli.mail_setup import lookup
from app.cli.mail_setup.lookup import MailRecords, look_up, read_name_server
from app.cli.mail_setup.systems import MailSystem, suggest
from tests.support.dns_server import Records, dns_server

HERE = "example.org"


@pytest.mark.parametrize(
    ("records", "system", "server"),
    [
        ({(HERE, "MX"): ("0 example-org.mail.protection.outlook.com.",)}, MailSystem.EXCHANGE_ONLINE, "smtp.office365.com:587"),
        ({(HERE, "MX"): ("10 example-org.o-v1.mx.microsoft.",)}, MailSystem.EXCHANGE_ONLINE, "smtp.office365.com:587"),
        ({(HERE, "MX"): ("0 Example-Org.Mail.Protection.Outlook.COM.",)}, MailSystem.EXCHANGE_ONLINE, "smtp.office365.com:587"),
        ({(HERE, "MX"): ("5 hotmail-com.olc.protection.outlook.com.",)}, MailSystem.PROVIDER, "smtp-mail.outlook.com:587"),
        ({(HERE, "MX"): ("1 smtp.google.com.",)}, MailSystem.GOOGLE, "smtp.gmail.com:587"),
        ({(HERE, "MX"): ("10 alt1.aspmx.l.google.com.", "1 aspmx.l.google.com.")}, MailSystem.GOOGLE, "smtp.gmail.com:587"),
        ({(HERE, "MX"): ("10 mx00.ionos.de.", "10 mx01.ionos.de.")}, MailSystem.PROVIDER, "smtp.ionos.de:465"),
        ({(HERE, "MX"): ("20 backup.example.net.", "10 mx.example.org.")}, MailSystem.OWN, "mx.example.org"),
        ({(HERE, "MX"): ("10 mx.notgoogle.com.",)}, MailSystem.OWN, "mx.notgoogle.com"),
        ({(HERE, "MX"): ("10 mx.example.org.",), (f"_submission._tcp.{HERE}", "SRV"): ("0 1 587 mail.example.org.",)}, MailSystem.OWN, "mail.example.org:587"),
        ({(f"_submissions._tcp.{HERE}", "SRV"): ("5 1 465 b.example.org.", "0 1 465 a.example.org."), (f"_submission._tcp.{HERE}", "SRV"): ("0 1 587 c.example.org.",)}, MailSystem.OWN, "a.example.org:465"),
        ({(f"_submission._tcp.{HERE}", "SRV"): ("0 0 0 .",)}, MailSystem.OWN, None),
        ({(HERE, "MX"): ("0 .",)}, MailSystem.OWN, None),
        ({}, MailSystem.OWN, None),
    ],
)  # fmt: skip
async def test_the_records_of_a_domain_suggest_a_mail_system(
    records: Records, system: MailSystem, server: str | None
) -> None:
    with dns_server(records) as address:
        suggestion = suggest(HERE, await look_up(HERE, read_name_server(address)))
    assert (suggestion.system, suggestion.server) == (system, server)
    assert HERE in suggestion.why


async def test_a_silent_dns_server_ends_in_time_and_suggests_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "LOOKUP_S", 0.3)
    started = time.monotonic()
    with dns_server({}, is_silent=True) as address:
        records = await look_up(HERE, read_name_server(address))
    assert time.monotonic() - started < 30
    assert records.failure is not None
    assert records.failure.startswith("DNS has no answer about example.org")


async def test_a_broken_dns_server_is_reported() -> None:
    with dns_server({}, rcode=dns.rcode.SERVFAIL) as address:
        records = await look_up(HERE, read_name_server(address))
    assert records.failure is not None
    assert records.failure.startswith("DNS has no answer about example.org")


@pytest.mark.parametrize("domain", ["localhost", "mail.test", "corp.local", "server", "[192.0.2.1]"])
async def test_a_name_that_public_dns_cannot_know_is_not_asked_for(domain: str) -> None:
    assert await look_up(domain, None) == MailRecords(failure=f"{domain} is not a name of the public DNS")


@pytest.mark.parametrize("text", ["dns.example.org", "192.0.2.1:dns", "", "192.0.2.1:53:53"])
def test_a_dns_server_is_an_address(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (of several kinds, for people: cli/setup_mail.py words it)
        read_name_server(text)
