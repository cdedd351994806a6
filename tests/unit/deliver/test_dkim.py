"""Mails are signed with DKIM, verified here as a receiving server does; and the doctor compares the record in DNS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import dkim
import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.cli.dkim_check import check_dkim
from app.core.errors import BadSettings
from app.core.settings import Settings, load_settings
from app.deliver.transports.dkim_signer import DkimSigner
from app.domain.attempt import Sent
from tests.support.smtp import SmtpServer
from tests.support.smtp_client import client, parcel

MAIL = b"From: tocsin@example.org\r\nTo: ann@example.org\r\nSubject: FAILED\r\nMessage-ID: <m@tocsin>\r\n\r\nhello\r\n.\r\n..two\r\n"
KEY = rsa.generate_private_key(65537, 2048)


def write_key(path: Path, key: object = KEY, form: PrivateFormat = PrivateFormat.PKCS8) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    return path


def signing(folder: Path, sender: str = "Tocsin <tocsin@example.org>") -> Settings:
    return load_settings(dkim_key_file=write_key(folder / "key.pem"), dkim_selector="tocsin", mail_from=sender)


def signer_of(settings: Settings) -> DkimSigner:
    signer = DkimSigner.from_settings(settings)
    assert signer is not None
    return signer


def is_valid(mail: bytes, signer: DkimSigner) -> bool:
    asked: list[str] = []

    def dns_txt(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name.decode().rstrip("."))
        return signer.record.encode()

    valid = dkim.verify(mail, dnsfunc=dns_txt)
    assert asked in ([], [signer.record_name])
    return bool(valid)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
async def test_what_arrives_has_a_valid_signature_and_is_otherwise_the_same(tmp_path: Path, form: PrivateFormat):
    path = write_key(tmp_path / "key.pem", form=form)
    with SmtpServer() as server:
        async with client(server, dkim_key_file=path, dkim_selector="tocsin") as transport:
            assert isinstance(await transport.send(parcel(MAIL)), Sent)
            assert isinstance(await transport.send(parcel(MAIL.replace(b"\r\n", b"\n"))), Sent)
    for message in server.messages:
        assert message.data.startswith(b"DKIM-Signature: ")
        assert message.data.endswith(MAIL)
        assert is_valid(message.data, signer_of(signing(tmp_path)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"hello", b"hullo"),
        (b"Subject: FAILED", b"Subject: OK"),
        (b"\r\n\r\nhello", b"\r\nList-Unsubscribe: <https://evil.example/>\r\n\r\nhello"),
        (b"To: ann", b"From: evil@example.org\r\nTo: ann"),
        (b"Subject: FAILED", b"Subject: OK\r\nSubject: FAILED"),
    ],
    ids=["text", "subject", "added header", "second sender", "second subject"],
)
def test_a_change_on_the_way_is_noticed(tmp_path: Path, old: bytes, new: bytes):
    signer = signer_of(signing(tmp_path))
    signed = signer.sign(MAIL)
    assert is_valid(signed, signer)
    assert not is_valid(signed.replace(old, new, 1), signer)


def test_the_domain_is_that_of_the_sender_in_ascii(tmp_path: Path):
    assert (
        signer_of(signing(tmp_path, "tocsin@bücher.example")).record_name == "tocsin._domainkey.xn--bcher-kva.example"
    )


def test_wrong_settings_are_named_and_no_key_is_shown(tmp_path: Path):
    path = write_key(tmp_path / "key.pem")
    (tmp_path / "text.pem").write_text("hunter2")
    curve = write_key(tmp_path / "ec.pem", ec.generate_private_key(ec.SECP256R1()))
    for wrong, name in (
        ({"dkim_selector": "tocsin"}, "TOCSIN_DKIM_KEY_FILE: is missing"),
        ({"dkim_key_file": path}, "TOCSIN_DKIM_SELECTOR: "),
        ({"dkim_key_file": path, "dkim_selector": "a b"}, "TOCSIN_DKIM_SELECTOR: "),
        ({"dkim_key_file": path, "dkim_selector": "a\r\nb"}, "TOCSIN_DKIM_SELECTOR: "),
        ({"dkim_key_file": tmp_path / "no.pem", "dkim_selector": "a"}, "TOCSIN_DKIM_KEY_FILE: cannot read"),
        ({"dkim_key_file": tmp_path / "text.pem", "dkim_selector": "a"}, "TOCSIN_DKIM_KEY_FILE: .* no private key"),
        ({"dkim_key_file": curve, "dkim_selector": "a"}, "TOCSIN_DKIM_KEY_FILE: .* RSA key"),
    ):
        with pytest.raises(BadSettings, match=name) as refused:
            DkimSigner.from_settings(load_settings(**wrong))
        assert "hunter2" not in str(refused.value)


@asynccontextmanager
async def name_server(
    answer: Callable[[dns.message.Message], dns.message.Message | None],
) -> AsyncIterator[dns.asyncresolver.Resolver]:
    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            reply = answer(dns.message.from_wire(data))
            if reply is not None:
                self.transport.sendto(reply.to_wire(), address)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    try:
        yield resolver
    finally:
        transport.close()


def answering(
    *parts: str, code: dns.rcode.Rcode = dns.rcode.NOERROR
) -> Callable[[dns.message.Message], dns.message.Message]:
    def answer(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.set_rcode(code)
        reply.flags |= dns.flags.RA
        if parts:
            text = " ".join(f'"{part}"' for part in parts)
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "TXT", text))
        return reply

    return answer


@pytest.mark.slow
async def test_the_doctor_shows_the_record_unless_dns_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = signing(tmp_path)
    record = signer_of(settings).record
    cases = {
        "published": (answering(record[:200], record[200:]), None),
        "with spaces": (answering(record[:150] + " ", record[150:].replace("; ", ";")), None),
        "no such name": (answering(code=dns.rcode.NXDOMAIN), "no record of the key"),
        "no such record": (answering(), "no record of the key"),
        "an old key": (answering("v=DKIM1; k=rsa; p=MIIB"), "another key"),
        "a revoked key": (answering("v=DKIM1; p="), "another key"),
    }
    for name, (answer, wanted) in cases.items():
        async with name_server(answer) as resolver:
            lines = await check_dkim(settings, resolver)
        if wanted is None:
            assert lines == [], name
        else:
            assert wanted in lines[0], name
            assert f"Publish the TXT record tocsin._domainkey.example.org with: {record}" in lines[0]
    monkeypatch.setattr("app.cli.dkim_check.LONGEST_S", 0.2)
    async with name_server(lambda _: None) as resolver:
        assert await check_dkim(settings, resolver) == [], "DNS does not answer"
    assert await check_dkim(load_settings()) == []
