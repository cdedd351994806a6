"""A certificate that a mail server made itself, as Exchange and Postfix have after their installation."""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def self_signed(name: str, key_file: Path | None = None, more_names: Iterable[str] = ()) -> x509.Certificate:
    """Return a certificate for these names and 127.0.0.1; `key_file` gets it and its key, as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [*map(x509.DNSName, (name, *more_names)), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    begins, ends = now - timedelta(days=1), now + timedelta(days=1)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, begins, ends)
    certificate = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())
    if key_file is not None:
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key_file.write_bytes(text + certificate.public_bytes(Encoding.PEM))
    return certificate
