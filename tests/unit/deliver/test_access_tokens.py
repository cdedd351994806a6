"""Access tokens: what is asked of Microsoft and Google, when it is asked again, and what a refusal says."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.core.settings import load_settings
from app.deliver.access_tokens import AccessTokens, Purpose, TokenRefused, build_access_tokens
from tests.support.token_server import (
    CLIENT_ID,
    GRAPH_SCOPE,
    OUTLOOK_SCOPE,
    REFRESH,
    SECRET,
    TENANT,
    TokenServer,
    make_certificate,
    make_service_account,
    token_server,
)


class Hands:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at

    def turn(self, **by: float) -> None:
        self.at += timedelta(**by)


def of_microsoft(server: TokenServer, purpose: Purpose = Purpose.GRAPH, **changed: object) -> AccessTokens:
    given = {"oauth_client_secret": SECRET, "oauth_client_id": CLIENT_ID, **changed}
    clock = given.pop("clock", lambda: datetime.now(UTC))
    settings = load_settings(oauth_provider="microsoft", oauth_tenant=TENANT, oauth_token_url=server.url, **given)
    tokens = build_access_tokens(settings, purpose, clock=clock)
    assert tokens is not None
    return tokens


async def refusal_of(tokens: AccessTokens) -> TokenRefused:
    with pytest.raises(TokenRefused) as found:
        await tokens.token()
    return found.value


@pytest.mark.parametrize(
    ("purpose", "scope"), [(Purpose.GRAPH, GRAPH_SCOPE), (Purpose.SMTP, OUTLOOK_SCOPE), (Purpose.IMAP, OUTLOOK_SCOPE)]
)
async def test_a_secret_gets_a_token_for_its_purpose(purpose, scope):
    async with token_server() as server:
        token = await of_microsoft(server, purpose).token()
    assert server.given == {token: scope}


async def test_a_certificate_signs_what_microsoft_checks(tmp_path):
    certificate = make_certificate(tmp_path / "app.pem")
    async with token_server(certificate=certificate) as server:
        tokens = of_microsoft(server, oauth_client_secret=None, oauth_certificate_file=tmp_path / "app.pem")
        token = await tokens.token()
        tokens.forget(token)
        again = await tokens.token()  # the server takes each assertion once
    assert [server.given[one] for one in (token, again)] == [GRAPH_SCOPE, GRAPH_SCOPE]
    assert all("client_secret" not in form for form in server.forms)


async def test_a_certificate_that_the_app_does_not_have_is_named(tmp_path):
    make_certificate(tmp_path / "mine.pem")
    async with token_server(certificate=make_certificate(tmp_path / "theirs.pem")) as server:
        refused = await refusal_of(
            of_microsoft(server, oauth_client_secret=None, oauth_certificate_file=tmp_path / "mine.pem")
        )
    assert not refused.is_temporary
    assert "upload that of TOCSIN_OAUTH_CERTIFICATE_FILE" in refused.text


async def test_a_certificate_that_was_replaced_is_used_without_a_restart(tmp_path):
    file = tmp_path / "app.pem"
    async with token_server(certificate=make_certificate(file)) as server:
        tokens = of_microsoft(server, oauth_client_secret=None, oauth_certificate_file=file)
        first = await tokens.token()
        server.certificate = make_certificate(file)
        tokens.forget(first)
        assert await tokens.token() == "token-2"
        file.write_text("half a copy")
        tokens._forgot_at = None
        tokens.forget("token-2")
        refused = await refusal_of(tokens)
    assert (refused.code, refused.is_temporary) == ("settings", False)
    assert refused.text.startswith("TOCSIN_OAUTH_CERTIFICATE_FILE: ")


async def test_a_service_account_acts_as_the_mailbox(tmp_path):
    key = make_service_account(tmp_path / "account.json")
    async with token_server(service_key=key) as server:
        settings = load_settings(
            oauth_provider="google",
            oauth_service_account_file=tmp_path / "account.json",
            oauth_token_url=server.url,
        )
        smtp, imap = await asyncio.gather(
            build_access_tokens(settings, Purpose.SMTP, mailbox="alerts@example.org").token(),
            build_access_tokens(settings, Purpose.IMAP, mailbox="bounces@example.org").token(),
        )
        assert build_access_tokens(settings, Purpose.GRAPH) is None
    assert (server.given[smtp], server.given[imap]) == ("alerts@example.org", "bounces@example.org")


@pytest.mark.parametrize(
    ("refresh", "words"), [(REFRESH, None), ("1//revoked", "TOCSIN_OAUTH_REFRESH_TOKEN has expired or was revoked")]
)
async def test_a_refresh_token_gets_tokens_until_it_is_revoked(refresh, words):
    async with token_server() as server:
        settings = load_settings(
            oauth_provider="google",
            oauth_client_id=CLIENT_ID,
            oauth_client_secret=SECRET,
            oauth_refresh_token=refresh,
            oauth_token_url=server.url,
        )
        tokens = build_access_tokens(settings, Purpose.SMTP)
        if words is None:
            assert await tokens.token() == "token-1"
        else:
            refused = await refusal_of(tokens)
            assert words in refused.text
            assert refresh not in refused.text


def test_without_a_provider_there_are_no_tokens():
    assert build_access_tokens(load_settings(), Purpose.SMTP) is None


async def test_many_at_once_make_one_request():
    async with token_server() as server:
        tokens = of_microsoft(server)
        found = await asyncio.gather(*(tokens.token() for _ in range(20)))
    assert set(found) == {"token-1"}
    assert len(server.forms) == 1


async def test_a_caller_that_is_cancelled_keeps_no_other_from_its_token():
    asked = asyncio.Event()

    async def slow_at_first(_: dict[str, str]) -> None:
        if not asked.is_set():
            asked.set()
            await asyncio.sleep(30)

    async with token_server(script=slow_at_first) as server:
        tokens = of_microsoft(server)
        first = asyncio.create_task(tokens.token())
        await asked.wait()
        second = asyncio.create_task(tokens.token())
        first.cancel()
        assert await second == "token-1"
        assert first.cancelled()


@pytest.mark.parametrize(
    ("life_s", "until_s", "is_renewed"),
    [(3599, 3290, False), (3599, 3310, True), ("3599", 3310, True), (60, 47, False), (60, 49, True), (None, 479, False), (None, 481, True), ("soon", 481, True), (-5, 1, True)],
)  # fmt: skip
async def test_a_token_is_renewed_before_it_ends(life_s, until_s, is_renewed):
    clock = Hands()
    async with token_server(life_s=life_s) as server:
        tokens = of_microsoft(server, clock=clock)
        await tokens.token()
        clock.turn(seconds=until_s)
        assert await tokens.token() == ("token-2" if is_renewed else "token-1")


async def test_a_token_that_cannot_be_renewed_is_used_until_it_ends():
    clock = Hands()
    async with token_server() as server:
        tokens = of_microsoft(server, clock=clock)
        await tokens.token()

        async def broken(_: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
            return 503, b"", {"retry-after": "20"}

        server.script = broken
        clock.turn(minutes=56)
        assert await tokens.token() == await tokens.token() == "token-1"
        assert len(server.forms) == 2  # asked once, then not again before the 20 s that it asked for
        clock.turn(minutes=5)
        assert (await refusal_of(tokens)).is_temporary
        server.script = None
        clock.turn(seconds=21)
        assert await tokens.token() == "token-2"


async def test_a_token_that_a_server_refused_is_replaced_once():
    clock = Hands()
    async with token_server() as server:
        tokens = of_microsoft(server, clock=clock)
        tokens.forget(await tokens.token())
        tokens.forget("token-0")  # of another time
        assert await tokens.token() == "token-2"
        tokens.forget("token-2")
        assert await tokens.token() == "token-2"  # the new one is refused too, so the token is not the cause
        clock.turn(seconds=31)
        tokens.forget("token-2")
        assert await tokens.token() == "token-3"


REFUSALS = [
    # what is wrong, is_temporary, what the text says
    ({"oauth_client_secret": "wrong"}, False, "set the secret's value, not its id"),
    ({"oauth_client_id": "another"}, False, "TOCSIN_OAUTH_CLIENT_ID is not the id of an app in this tenant"),
    ({"oauth_cloud": "china"}, False, "invalid_scope"),
]


@pytest.mark.parametrize(("changed", "is_temporary", "words"), REFUSALS)
async def test_a_refusal_names_what_to_mend_and_is_not_asked_again_at_once(changed, is_temporary, words):
    clock = Hands()
    async with token_server() as server:
        tokens = of_microsoft(server, clock=clock, **changed)
        refused = await refusal_of(tokens)
        assert str(await refusal_of(tokens)) == str(refused)
        assert len(server.forms) == 1
        clock.turn(seconds=31)
        await refusal_of(tokens)
        assert len(server.forms) == 2
    assert refused.is_temporary is is_temporary
    assert words in refused.text


ANSWERS = [
    # status, body, code, is_temporary, what the text says
    (500, b"<html>", "500", True, "answers 500"),
    (429, b'{"error":"temporarily_unavailable"}', "429", True, "answers 429"),
    (400, b'{"error":"temporarily_unavailable","error_description":"AADSTS90033: transient"}', "400", True, "AADSTS90033"),
    (401, b'{"error":"invalid_client","error_description":"AADSTS7000222: expired. Trace ID: 1"}', "invalid_client", False, "the client secret has expired"),
    (401, b'{"error":"invalid_client","error_description":"the secret is %b"}' % SECRET.encode(), "invalid_client", False, "the secret is [secret]"),
    (400, b'{"error":"x\\u0000\\ny","error_description":7}', "x", False, "x"),
    (400, b'{"error":{"code":7}}', "400", False, "at the address of the token service does not answer like one"),
    (200, b"<html>Welcome to the hotel</html>", "200", False, "at the address of the token service does not answer like one"),
    (200, b'["a"]', "200", False, "does not answer like one"),
    (200, b'{"access_token":"a\\r\\nX-Other: b","token_type":"Bearer"}', "200", False, "does not answer like one"),
    (200, b'{"access_token":"","token_type":"Bearer"}', "200", False, "does not answer like one"),
    (200, b'{"access_token":"a","token_type":"mac"}', "token_type", False, "another type"),
    (302, b"", "302", False, "does not answer like one"),
    (200, b"a" * 70_000, "answer", True, "too long"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code", "is_temporary", "words"), ANSWERS)
async def test_every_other_answer_is_a_refusal(status, body, code, is_temporary, words):
    async def scripted(_: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        return status, body, {"location": "http://127.0.0.1:1/"}

    async with token_server(script=scripted) as server:
        refused = await refusal_of(of_microsoft(server))
    assert (refused.code.split()[0], refused.is_temporary) == (code, is_temporary)
    assert words in refused.text
    assert SECRET not in str(refused)
    assert refused.text.isprintable()


async def test_a_token_service_that_does_not_answer_is_given_up():
    async def silent(_: dict[str, str]) -> None:
        await asyncio.sleep(30)

    async with token_server(script=silent) as server:
        tokens = of_microsoft(server)
        tokens._timeout_s = 0.2
        refused = await refusal_of(tokens)
    assert (refused.code, refused.is_temporary) == ("timeout", True)


async def test_a_token_service_that_is_not_there_is_temporary():
    async with token_server() as server:
        pass
    refused = await refusal_of(of_microsoft(server))
    assert (refused.code, refused.is_temporary) == ("connect", True)


def test_no_repr_shows_a_secret(tmp_path):
    make_certificate(tmp_path / "app.pem")
    settings = load_settings(
        oauth_provider="microsoft", oauth_tenant=TENANT, oauth_client_id=CLIENT_ID, oauth_client_secret=SECRET
    )
    tokens = build_access_tokens(settings, Purpose.SMTP)
    assert SECRET not in repr(vars(tokens)) + repr(settings) + repr(settings.oauth)
