"""What an administrator learns of a certificate that was refused."""

from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from app.cli.mail_setup.certificate import problem_of
from tests.support.self_signed import self_signed

NOW = datetime.now(UTC)


def issued(*names: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(
        trustme.CA(organization_name="Example Ltd").issue_cert(*names).cert_chain_pems[0].bytes()
    )


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["mail.example.org"], "mail.example.org"),
        (["mail.example.org"], "MAIL.example.org."),
        (["*.example.org"], "mail.example.org"),
        (["192.0.2.1"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8:0::1"),
    ],
)
def test_a_certificate_for_this_name_has_an_unknown_issuer(names: list[str], host: str) -> None:
    problem = problem_of(issued(*names), host, NOW)
    assert problem.to_correct == "authority"
    assert "Example Ltd" in problem.text
    assert problem.self_signed is None


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["exchange01.corp.local", "exchange01"], "mail.example.org"),
        (["*.example.org"], "a.mail.example.org"),
        (["*.example.org"], "example.org"),
        (["mail.example.org"], "192.0.2.1"),
        (["192.0.2.1"], "192.0.2.2"),
    ],
)
def test_a_certificate_for_other_names_lists_them(names: list[str], host: str) -> None:
    problem = problem_of(issued(*names), host, NOW)
    assert problem.to_correct == "server"
    assert problem.text == f"the certificate is not for {host}, but for {', '.join(names)}"


def test_a_certificate_that_is_out_of_date_says_since_when() -> None:
    certificate = issued("mail.example.org")
    later = certificate.not_valid_after_utc + timedelta(days=3)
    problem = problem_of(certificate, "mail.example.org", later)
    assert f"to {certificate.not_valid_after_utc:%Y-%m-%d} only; today is {later:%Y-%m-%d}" in problem.text


def test_a_self_signed_certificate_can_be_trusted_by_its_fingerprint() -> None:
    certificate = self_signed("mail.corp.example")
    problem = problem_of(certificate, "mail.corp.example", NOW)
    assert problem.self_signed is not None
    assert x509.load_pem_x509_certificate(problem.self_signed.encode()) == certificate
    assert certificate.fingerprint(hashes.SHA256()).hex(":").upper() in problem.text
