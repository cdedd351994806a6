"""The settings of OAuth2: where each of Microsoft's clouds is, what the credentials are, and whether they fit together.

Addresses: https://learn.microsoft.com/graph/deployments and https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud.
No error may repeat a value: it may be a secret.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from app.core.errors import BadSettings
from app.core.smtp_url import is_loopback

Provider = Literal["microsoft", "google"]
CloudName = Literal["global", "us_gov", "us_dod", "china"]
GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  (an address)
_ANY_TENANT = ("common", "organizations", "consumers")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


@dataclass(frozen=True, slots=True)
class Cloud:
    """The addresses of one cloud: the token service, Microsoft Graph, and Exchange Online for SMTP and IMAP."""

    login: str
    graph: str
    outlook: str


CLOUDS: dict[CloudName, Cloud] = {
    "global": Cloud(
        "https://login.microsoftonline.com", "https://graph.microsoft.com", "https://outlook.office365.com"
    ),
    "us_gov": Cloud("https://login.microsoftonline.us", "https://graph.microsoft.us", "https://outlook.office365.us"),
    "us_dod": Cloud(
        "https://login.microsoftonline.us", "https://dod-graph.microsoft.us", "https://outlook-dod.office365.us"
    ),
    "china": Cloud(
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        "https://partner.outlook.cn",
    ),
}


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its private key. `thumbprint` is the value of `x5t#S256` (RFC 7515 section 4.1.8)."""

    key: str = field(repr=False)
    thumbprint: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What Google's JSON file says of a service account."""

    email: str
    key_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """The settings that begin with `oauth_`, and `graph_mailbox`, `graph_url`."""

    provider: Provider | None
    tenant: str | None
    client_id: str | None
    has_secret: bool
    certificate_file: Path | None
    service_account_file: Path | None
    has_refresh_token: bool
    token_url: str | None
    graph_mailbox: str | None
    graph_url: str | None
    secret_expires: date | None


def credential_end(given: OAuthSettings) -> tuple[str, datetime] | None:
    """Return what ends and when: the certificate, or the secret by the date in the settings. Raises BadSettings.

    None if nothing ends, or the settings do not say when: a secret does not contain its own end.
    """
    if given.provider is None:
        return None
    if given.certificate_file is not None:
        end = read_client_certificate(given.certificate_file).expires_at
        return "the certificate in TOCSIN_OAUTH_CERTIFICATE_FILE", end
    if given.secret_expires is None:
        return None
    return "the secret in TOCSIN_OAUTH_CLIENT_SECRET", datetime.combine(given.secret_expires, time.min, UTC)


def check_oauth(given: OAuthSettings) -> None:
    """Raise BadSettings for settings with which Tocsin could get no token: otherwise no alert would ever be sent."""
    for name, url in (("OAUTH_TOKEN_URL", given.token_url), ("GRAPH_URL", given.graph_url)):
        if url is not None:
            _check_url(f"TOCSIN_{name}", url)
    match given.provider:
        case "microsoft":
            _check_microsoft(given)
        case "google":
            _check_google(given)
        case None:
            others = (given.tenant, given.client_id, given.certificate_file, given.service_account_file)
            if any(others) or given.has_secret or given.has_refresh_token or given.graph_mailbox:
                raise BadSettings(
                    "TOCSIN_OAUTH_PROVIDER: must be microsoft or google, because other TOCSIN_OAUTH_... settings are set"
                )


def _check_microsoft(given: OAuthSettings) -> None:
    if given.tenant is None or not _TENANT.fullmatch(given.tenant) or given.tenant in _ANY_TENANT:
        raise BadSettings(
            "TOCSIN_OAUTH_TENANT: must be the id or a domain of your tenant, such as example.onmicrosoft.com"
        )
    if given.client_id is None:
        raise BadSettings("TOCSIN_OAUTH_CLIENT_ID: must be the application (client) id of the app registration")
    if given.has_refresh_token or given.service_account_file is not None:
        raise BadSettings(
            "TOCSIN_OAUTH_PROVIDER: microsoft needs a certificate or a client secret, and accepts neither a refresh token nor a service account"
        )
    if given.has_secret == (given.certificate_file is not None):
        raise BadSettings("TOCSIN_OAUTH_CERTIFICATE_FILE: set either it or TOCSIN_OAUTH_CLIENT_SECRET")
    if given.certificate_file is not None:
        read_client_certificate(given.certificate_file)


def _check_google(given: OAuthSettings) -> None:
    if given.graph_mailbox is not None:
        raise BadSettings("TOCSIN_GRAPH_MAILBOX: needs TOCSIN_OAUTH_PROVIDER=microsoft")
    if given.certificate_file is not None:
        raise BadSettings("TOCSIN_OAUTH_CERTIFICATE_FILE: needs TOCSIN_OAUTH_PROVIDER=microsoft")
    if given.service_account_file is not None:
        if given.has_refresh_token:
            raise BadSettings("TOCSIN_OAUTH_REFRESH_TOKEN: set either it or TOCSIN_OAUTH_SERVICE_ACCOUNT_FILE")
        read_service_account(given.service_account_file)
    elif not (given.client_id and given.has_secret and given.has_refresh_token):
        raise BadSettings(
            "TOCSIN_OAUTH_SERVICE_ACCOUNT_FILE: set it, or TOCSIN_OAUTH_CLIENT_ID, TOCSIN_OAUTH_CLIENT_SECRET and TOCSIN_OAUTH_REFRESH_TOKEN"
        )


def _check_url(name: str, text: str) -> None:
    try:
        url = urlsplit(text)
        is_good = url.username is None and not url.query and not url.fragment and url.port != 0
    except ValueError:
        is_good = False
    else:
        is_good = is_good and (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname or "")))
    if not is_good or not url.hostname:
        raise BadSettings(f"{name}: must be an https URL, as secrets are sent to it")


def read_client_certificate(path: Path) -> ClientCertificate:
    """Read a PEM file with an RSA key and its certificate, in any order. Raises BadSettings."""
    from cryptography import x509  # noqa: PLC0415  (takes long to import, and most services have no certificate)
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415

    name = "TOCSIN_OAUTH_CERTIFICATE_FILE"
    pem = _read(name, path).encode()
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise BadSettings(f"{name}: {path} contains no certificate in PEM form") from None
    try:
        # The private key's block: the loader takes the first block of a file, which may be the certificate
        found = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", pem, re.DOTALL)
        key = serialization.load_pem_private_key(found[0] + b"\n" if found else b"", password=None)
    except (ValueError, UnsupportedAlgorithm):
        raise BadSettings(f"{name}: {path} contains no private key in PEM form") from None
    except TypeError:
        raise BadSettings(
            f"{name}: the private key in {path} has a password; remove it, and protect the file"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise BadSettings(f"{name}: the key in {path} must be an RSA key, as Microsoft accepts no other")
    own = next((one for one in certificates if one.public_key() == key.public_key()), None)
    if own is None:
        raise BadSettings(f"{name}: the certificate in {path} does not belong to the private key in it")
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
    thumbprint = base64.urlsafe_b64encode(own.fingerprint(hashes.SHA256())).decode("ascii").rstrip("=")
    return ClientCertificate(text, thumbprint, own.not_valid_after_utc)


def read_service_account(path: Path) -> ServiceAccount:
    """Read the JSON key file of a service account, as downloaded from Google. Raises BadSettings."""
    name = "TOCSIN_OAUTH_SERVICE_ACCOUNT_FILE"
    try:
        found = json.loads(_read(name, path))
    except ValueError:
        found = None
    texts = {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    account = ServiceAccount(
        texts.get("client_email", ""), texts.get("private_key_id", ""), texts.get("private_key", "")
    )
    if not (account.email and account.key_id and account.key):
        raise BadSettings(f"{name}: {path} is not the JSON key file of a service account")
    if "PRIVATE KEY-----" not in account.key:
        raise BadSettings(f"{name}: the private key in {path} is not in PEM form")
    return account


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as cause:
        raise BadSettings(f"{name}: cannot read {path}: {cause.strerror}") from cause
    except UnicodeDecodeError as cause:
        raise BadSettings(f"{name}: {path} is not text in UTF-8") from cause
