"""Says why a mail server's certificate cannot be trusted, and what to do: wrong name, out of date, self-signed, unknown authority."""

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

import aiosmtplib
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from app.core.smtp_url import SmtpServer, Tls

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CertificateProblem:
    """What is wrong, in words; the answer that can correct it (`server` or `authority`); a self-signed certificate that may be trusted, as PEM."""

    text: str
    advice: str
    to_correct: str
    self_signed: str | None = None
    fingerprint: str = ""


async def explain_certificate(server: SmtpServer, timeout_s: float) -> CertificateProblem | None:
    """Read the certificate over a connection that nothing is sent on, and explain it. None if it cannot be read."""
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        timeout=timeout_s,
        use_tls=server.tls is Tls.TLS,
        start_tls=False,
        validate_certs=False,  # only to look at it: neither a login nor a mail goes over this connection
    )
    try:
        await client.connect()
        if server.tls is Tls.STARTTLS:
            await client.starttls()
        connection = client.get_transport_info("ssl_object")
        found = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLObject) else None
        return (
            None if found is None else problem_of(x509.load_der_x509_certificate(found), server.host, datetime.now(UTC))
        )
    except (aiosmtplib.SMTPException, OSError, ValueError):
        return None
    finally:
        client.close()


def problem_of(certificate: x509.Certificate, host: str, now: datetime) -> CertificateProblem:
    """Return the problem of a certificate that was refused for this host at this time."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = []  # a client compares the subject alternative names only (RFC 9525 section 6.3)
    else:
        addresses = map(str, alternative.get_values_for_type(x509.IPAddress))
        names = [*alternative.get_values_for_type(x509.DNSName), *addresses]
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        text = f"the certificate is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d} only; today is {now:%Y-%m-%d}"
        return CertificateProblem(text, "Renew the server's certificate, or correct this host's clock.", "server")
    if not _is_for(host, names):
        shown = ", ".join(names[:_SHOWN]) or "no name at all"
        text = f"the certificate is not for {host}, but for {shown}"
        return CertificateProblem(
            text, "Enter the server by a name in its certificate, if DNS knows that name.", "server"
        )
    common_names = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    issuer = (str(common_names[0].value) if common_names else "") or certificate.issuer.rfc4514_string()
    if certificate.issuer == certificate.subject:
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        advice = "Compare this fingerprint with the one that the server's administrator sees, then trust this certificate alone."
        pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
        return CertificateProblem(
            f"the certificate is self-signed (SHA-256 {fingerprint})", advice, "authority", pem, fingerprint
        )
    text = f"the certificate was issued by {issuer}, which this host does not know"
    return CertificateProblem(text, f"Enter the PEM file with the certificate of {issuer}.", "authority")


def _is_for(host: str, names: list[str]) -> bool:
    host = host.lower().rstrip(".")
    if _address(host) is not None:
        return any(_address(name) == _address(host) for name in names)
    parent = host.partition(".")[2]
    return any(name.lower() in (host, f"*.{parent}") for name in names)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
