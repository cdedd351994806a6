"""One SMTP connection that misbehaves as its owner's `Behave` says at that moment. It keeps nothing itself and reports to its owner."""

import asyncio
import base64
import functools
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.smtp_script import Owner, Received

LONG_AUTH_LINE = 12288  # RFC 4954, section 4: access tokens are long
LINE_LIMIT = 1000  # RFC 5321, section 4.5.3.1.6
IDLE_S = 300


class _AlreadyAnswered(Exception):
    """The script has replied or closed the connection after the final dot."""


class MisbehavingSession(SMTP):
    """aiosmtpd's session with a script around each command."""

    line_length_limit = LONG_AUTH_LINE

    def __init__(self, owner: Owner, number: int, starttls: SSLContext | None, **options: Any) -> None:
        self.owner = owner
        self.number = number
        self.kept = 0
        super().__init__(
            self,
            hostname="mail.test",
            enable_SMTPUTF8=True,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_require_tls=False,
            authenticator=self._check_password,
            auth_exclude_mechanism={"PLAIN", "LOGIN", "XOAUTH2"} - owner.mechanisms,
            **options,
        )
        self._auth_required = bool(owner.users or owner.tokens)  # set late: as an argument it warns of the missing TLS
        self.command_size_limits["AUTH"] = LONG_AUTH_LINE
        self._smtp_methods = {
            name: functools.partial(self._scripted, name, do) for name, do in self._smtp_methods.items()
        }

    async def _handle_client(self) -> None:
        if await self._goes_on("CONNECT"):
            await super()._handle_client()

    async def _scripted(self, name: str, do: Callable[[Any], Awaitable[None]], arg: str | None) -> None:
        most = self.owner.behave.max_messages
        if name == "MAIL" and most is not None and self.kept >= most:
            await self._answer("421 4.7.0 too many messages on this connection")
        elif await self._goes_on(name):
            if name == "DATA" and self.owner.behave.hang_up == "BODY":
                await self._break_off_body()
            else:
                await do(arg)

    async def _goes_on(self, place: str) -> bool:
        """Play the script of this place; False if it has already replied."""
        behave = self.owner.behave
        self.owner.note(self.number, place)
        if place in behave.delays:
            await asyncio.sleep(behave.delays[place])
        if behave.hang_up == place:
            self._hang_up()
        elif place in behave.answers:
            await self._answer(behave.answers[place])
        else:
            return True
        return False

    async def _break_off_body(self) -> None:
        await self.push("354 go on")
        await self._reader.readline()
        self.owner.note(self.number, "BODY")
        self._hang_up()

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        """Keep the message unless the script refuses it; the script's delay or disconnect comes after that."""
        content = bytes(envelope.original_content or b"")
        if any(len(line) > LINE_LIMIT for line in content.splitlines(keepends=True)):
            return "500 5.5.2 line too long"
        if "DOT" not in self.owner.behave.answers:
            self.kept += 1
            who = session.auth_data
            self.owner.keep(
                Received(
                    sender=envelope.mail_from or "",
                    recipients=tuple(envelope.rcpt_tos),
                    data=content,
                    connection=self.number,
                    user=who.login.decode() if isinstance(who, LoginPassword) else None,
                    is_encrypted=self.transport.get_extra_info("ssl_object") is not None,
                )
            )
        if await self._goes_on("DOT"):
            return "250 2.0.0 kept"
        # The script has replied or disconnected. aiosmtpd would send its own reply, so the session ends here.
        self._set_post_data_state()
        raise _AlreadyAnswered

    async def handle_exception(self, error: Exception) -> str:
        """Ignore our own signal; report any other error as a bug of the test."""
        return "" if isinstance(error, _AlreadyAnswered) else f"500 defect of the test server: {error!r}"

    async def push(self, status: Any) -> None:
        """Send a reply, unless the script has already sent it or closed the connection."""
        if status and self.transport is not None and not self.transport.is_closing():
            await super().push(status)

    async def handle_EHLO(  # noqa: N802 (aiosmtpd's name)
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, lines: list[str]
    ) -> list[str]:
        """Leave out the AUTH line when there is no mechanism to name; offer PIPELINING, which aiosmtpd supports but does not announce."""
        session.host_name = hostname
        named = [line for line in lines if line.strip() != "250-AUTH"]
        return [named[0], *(["250-PIPELINING"] if self.owner.pipelining else []), *named[1:]]

    async def auth_XOAUTH2(self, _server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 (aiosmtpd's name)
        """Check `user=U^Aauth=Bearer T^A^A`; a wrong token gets the challenge first, as Google and Microsoft do."""
        sent = await self.challenge_auth("") if len(args) == 1 else _unpack(args[1])
        parts = dict(part.partition("=")[::2] for part in (sent or b"").decode().split("\x01") if part)
        user, token = parts.get("user", ""), parts.get("auth", "").removeprefix("Bearer ")
        if user and self.owner.tokens.get(user) == token:
            return AuthResult(success=True, auth_data=LoginPassword(user.encode(), b""))
        await self.challenge_auth('{"status":"401","schemes":"bearer"}')
        return AuthResult(success=False, handled=False)

    def _check_password(
        self, _s: SMTP, _session: Session, _e: Envelope, _mechanism: str, credentials: LoginPassword
    ) -> AuthResult:
        is_right = self.owner.users.get(credentials.login.decode()) == credentials.password.decode()
        return AuthResult(success=is_right, handled=False, auth_data=credentials)

    async def _answer(self, text: str) -> None:
        await self.push(text)
        if text.startswith("421"):
            self._hang_up()

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _reset_timeout(self, duration: float | None = None) -> None:
        super()._reset_timeout(duration or self.owner.behave.idle_close_s or IDLE_S)

    def _timeout_cb(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"421 4.4.2 idle for too long\r\n")
            self.transport.close()


def _unpack(text: str) -> bytes:
    return base64.b64decode(text.encode(), validate=True)
