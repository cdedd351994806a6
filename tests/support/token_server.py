"""A token service as Microsoft and Google publish theirs: it checks grants, scopes, secrets and signed assertions.

What it refuses, it refuses with the published codes. It was written by the documentation and not compared with theirs.
"""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

TENANT = "example.onmicrosoft.com"
CLIENT_ID = "11111111-2222-3333-4444-555555555555"
SECRET = "a~secret.of-the-app"
REFRESH = "1//a-refresh-token"
ACCOUNT = "tocsin@project.iam.gserviceaccount.com"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"
OUTLOOK_SCOPE = "https://outlook.office365.com/.default"
Answer = tuple[int, dict[str, object] | bytes, dict[str, str]]


@dataclass(slots=True)
class TokenServer:
    """Keeps the forms it was sent. `script` answers in its place; `certificate` and `service_key` are what it checks signatures with."""

    certificate: x509.Certificate | None = None
    service_key: rsa.RSAPublicKey | None = None
    script: Callable[[dict[str, str]], Awaitable[Answer | None]] | None = None
    life_s: object = 3599
    tls: ssl.SSLContext | None = None
    port: int = 0
    forms: list[dict[str, str]] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)  # token -> scope, or the mailbox of a Google token
    seen_ids: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{address_of(self.port, self.tls)}/{TENANT}/oauth2/v2.0/token"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            body = await reader.readexactly(int(headers["content-length"]))
            form = {name: values[0] for name, values in parse_qs(body.decode(), strict_parsing=True).items()}
            self.forms.append(form)
            scripted = None if self.script is None else await self.script(form)
            status, answer, extra = scripted or self.answer(headers, form)
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            writer.write(
                b"".join(
                    [
                        f"HTTP/1.1 {status} Answer\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n".encode(),
                        *(f"{name}: {value}\r\n".encode() for name, value in extra.items()),
                        b"\r\n" + raw,
                    ]
                )
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, headers: dict[str, str], form: dict[str, str]) -> Answer:
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        match form.get("grant_type"):
            case "client_credentials":
                return self._microsoft(form)
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                return self._google(form)
            case "refresh_token":
                if (form["client_id"], form["client_secret"]) != (CLIENT_ID, SECRET):
                    return refusal("invalid_client", "The OAuth client was not found.", 401)
                if form["refresh_token"] != REFRESH:
                    return refusal("invalid_grant", "Token has been expired or revoked.")
                return self.hand_out("refresh")
        return refusal("unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")

    def _microsoft(self, form: dict[str, str]) -> Answer:
        if form.get("client_id") != CLIENT_ID:
            return refusal("unauthorized_client", "AADSTS700016: Application was not found in the directory.")
        if form.get("scope") not in (GRAPH_SCOPE, OUTLOOK_SCOPE):
            return refusal(
                "invalid_scope", "AADSTS70011: The provided value for the input parameter 'scope' is not valid."
            )
        if "client_secret" in form:
            if form["client_secret"] != SECRET:
                return refusal("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
            return self.hand_out(form["scope"])
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return refusal("invalid_client", "AADSTS7000218: The request body must contain 'client_assertion'.", 401)
        wrong = self._wrong_assertion(form["client_assertion"])
        return self.hand_out(form["scope"]) if wrong is None else refusal("invalid_client", wrong, 401)

    def _wrong_assertion(self, assertion: str) -> str | None:
        header, claims, signed, signature = parts_of(assertion)
        assert self.certificate is not None
        thumbprint = base64.urlsafe_b64encode(self.certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")
        if header.get("alg") != "PS256" or header.get("x5t#S256") != thumbprint:
            return "AADSTS700027: Client assertion failed signature validation. [Reason - The key was not found.]"
        key = self.certificate.public_key()
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        key.verify(signature, signed, pss, hashes.SHA256())  # raises
        if claims["aud"] != self.url or claims["iss"] != CLIENT_ID or claims["sub"] != CLIENT_ID:
            return "AADSTS700023: Client assertion audience claim does not match Realm issuer."
        if not claims["nbf"] - 60 <= time.time() < claims["exp"] or claims["exp"] - claims["nbf"] > 600:
            return "AADSTS700024: Client assertion is not within its valid time range."
        if claims["jti"] in self.seen_ids:
            return "AADSTS700025: The assertion was used before."
        self.seen_ids.add(claims["jti"])
        return None

    def _google(self, form: dict[str, str]) -> Answer:
        header, claims, signed, signature = parts_of(form["assertion"])
        assert self.service_key is not None
        self.service_key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        if (
            header["alg"] != "RS256"
            or header["kid"] != "key-1"
            or claims["iss"] != ACCOUNT
            or claims["aud"] != self.url
        ):
            return refusal("invalid_grant", "Invalid JWT Signature.")
        if not claims["iat"] - 60 <= time.time() < claims["exp"] or claims["exp"] - claims["iat"] > 3600:
            return refusal(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            )
        if claims["scope"] != "https://mail.google.com/":
            return refusal(
                "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method.", 401
            )
        return self.hand_out(claims["sub"])

    def hand_out(self, scope: str) -> Answer:
        token = f"token-{len(self.given) + 1}"
        self.given[token] = scope
        return 200, {"token_type": "Bearer", "expires_in": self.life_s, "access_token": token}, {}


def address_of(port: int, tls: ssl.SSLContext | None) -> str:
    return f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"


def refusal(error: str, description: str, status: int = 400) -> Answer:
    return status, {"error": error, "error_description": description, "trace_id": "0f"}, {}


def parts_of(jwt: str) -> tuple[dict[str, str], dict[str, object], bytes, bytes]:
    head, claims, signature = jwt.split(".")
    signed = f"{head}.{claims}".encode()
    return json.loads(_decoded(head)), json.loads(_decoded(claims)), signed, _decoded(signature)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@asynccontextmanager
async def token_server(**how: object) -> AsyncIterator[TokenServer]:
    server = TokenServer(**how)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=server.tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await asyncio.sleep(0.01)  # the transports close in the next iteration of the event loop


def make_certificate(path: Path, *, days: float = 365, key: rsa.RSAPrivateKey | None = None) -> x509.Certificate:
    """Write a PEM file with a new certificate and its key, the certificate first as Microsoft's tools write it."""
    key = key or new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tocsin")])
    now = datetime.now(UTC)
    until = now + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, until) - timedelta(days=1))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + pem_of(key))
    return made


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem_of(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_service_account(path: Path) -> rsa.RSAPublicKey:
    """Write the JSON key file of a service account, as downloaded from Google, and return its public key."""
    key = new_key()
    found = {
        "type": "service_account",
        "private_key_id": "key-1",
        "client_email": ACCOUNT,
        "private_key": pem_of(key).decode(),
    }
    path.write_text(json.dumps(found), encoding="utf-8")
    return key.public_key()
