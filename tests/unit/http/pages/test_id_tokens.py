"""Which id tokens of an identity provider are believed: one row for each thing that can be wrong with one."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from app.core.errors import NotAllowed, Unavailable
from app.core.oidc_settings import OidcSettings
from app.domain.identity import Flow
from app.http.pages.identity_provider import IdentityProvider

KEY, OTHER = RSAKey.generate_key(2048, {"kid": "one"}), RSAKey.generate_key(2048, {"kid": "one"})
FLOW = Flow("the-state", "the-nonce", "v" * 64)
Claims = dict[str, object]


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(claims: Claims) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)


def by_another_key(claims: Claims) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER)


def unsigned(claims: Claims) -> str:
    return f"{part({'alg': 'none'})}.{part(claims)}."


def by_the_public_key(claims: Claims) -> str:
    """Sign with HS256, the public key as the secret: what a library that trusts the header would accept."""
    head = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(claims)}"
    mark = hmac.digest(KEY.as_pem(private=False), head.encode(), hashlib.sha256)
    return f"{head}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"


@asynccontextmanager
async def provider(token: Callable[[Claims], str], **changed: object) -> AsyncIterator[IdentityProvider]:
    """Serve a provider whose token has these claims changed; None leaves one out."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
        at = int(time.time())
        claims: Claims = {
            "iss": issuer,
            "aud": "tocsin",
            "sub": "kim",
            "nonce": "the-nonce",
            "iat": at,
            "exp": at + 300,
            "email": "kim@example.org",
            "groups": ["backup"],
            **changed,
        }
        answers: dict[str, object] = {
            "/.well-known/openid-configuration": {
                "issuer": issuer,
                **{f"{name}_endpoint": f"{issuer}/{name}" for name in ("authorization", "token")},
                "jwks_uri": f"{issuer}/jwks",
            },
            "/jwks": {"keys": [KEY.as_dict(private=False)]},
            "/token": {"id_token": token({name: one for name, one in claims.items() if one is not None})},
            "/huge/.well-known/openid-configuration": {"issuer": "x" * 600_000},
        }
        body = json.dumps(answers[path]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield IdentityProvider(settings(issuer), "http://tocsin.test/back")


def settings(issuer: str) -> OidcSettings:
    return OidcSettings(
        issuer, "tocsin", None, "openid", "groups", (), lets_new_in=False, links_by_email=False, label="x"
    )


async def test_a_right_token_names_somebody():
    async with provider(signed) as one:
        identity = await one.exchange_code(FLOW, {"code": "c", "state": "the-state"})
    assert (identity.subject, identity.email, identity.groups) == ("kim", "kim@example.org", ("backup",))


@pytest.mark.parametrize(
    ("token", "changed"),
    [
        (unsigned, {}),
        (by_the_public_key, {}),
        (by_another_key, {}),
        (signed, {"iss": "https://evil.example"}),
        (signed, {"aud": "another"}),
        (signed, {"aud": ["another", "tocsin"]}),  # and nobody says for whom: azp is missing
        (signed, {"nonce": "another"}),
        (signed, {"nonce": None}),
        (signed, {"exp": int(time.time()) - 3600}),
        (signed, {"exp": None}),
        (signed, {"sub": None}),
        (signed, {"sub": "x" * 256}),
        (lambda _: "not a token", {}),
        (lambda _: "", {}),
    ],
)
async def test_a_wrong_token_names_nobody(token: Callable[[Claims], str], changed: Claims):
    async with provider(token, **changed) as one:
        with pytest.raises(NotAllowed):
            await one.exchange_code(FLOW, {"code": "c", "state": "the-state"})


async def test_an_answer_that_is_too_long_is_not_read():
    async with provider(signed) as one:
        issuer = (await one.authorization_request(is_proof=False))[0].partition("/authorization")[0]
        with pytest.raises(Unavailable, match="too long"):
            await IdentityProvider(settings(f"{issuer}/huge"), "").check()
