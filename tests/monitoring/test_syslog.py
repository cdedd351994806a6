"""The transport `syslog` from a report to a real rsyslog."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.measured import Measured, version_of
from tests.support.reporting import pushing_service
from tests.support.rsyslog import has_tls, rsyslog
from tests.support.running import wait_until
from tests.support.self_signed import self_signed

EVIL = 'quote " bracket ] back \\ new\nline [x@1 a="b"] <34>1 - - - é'
pytestmark = [pytest.mark.needs("rsyslogd"), pytest.mark.slow]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_failure_and_its_end_are_one_line_each(tmp_path: Path, kind: str):
    with rsyslog(tmp_path / "log") as server, pushing_service(tmp_path / "var") as service:
        service.add_recipient("syslog", f"{kind}://127.0.0.1:{getattr(server, kind)}", facility="local3")
        measured = Measured("syslog", f"rsyslog {version_of('rsyslogd', '-v')}")
        with measured.failure():
            service.report("photos", "failure", EVIL)
            [line] = wait_until("the line", server.lines)
        pri, app, msgid, data, text = line
        assert (int(pri), app, msgid) == (19 * 8 + 3, "tocsin", "alert.opened")
        assert re.match(r'\[tocsin@32473 id="alr_[^"]+" what="opened" kind="failed"', data)
        assert 'agent="nas01" job="photos"' in data
        assert "nas01 photos" in text
        assert "back \\ new line" in text
        sent = service.wait_for_attempt("syslog", "sent")
        assert ("handed to the network" if kind == "udp" else "no acknowledgement") in sent["text"]
        with measured.recovery():
            service.report("photos", "success")
            wait_until("the end", lambda: len(server.lines()) == 2)
        assert server.lines()[1][:3] == [str(19 * 8 + 5), "tocsin", "alert.closed"]


def test_over_tls_only_a_server_with_a_valid_certificate_gets_lines(tmp_path: Path):
    if not has_tls():
        pytest.skip("needs rsyslog-gnutls")
    cert = tmp_path / "cert.pem"
    authority = self_signed("localhost", cert).public_bytes(Encoding.PEM).decode()
    with rsyslog(tmp_path / "log", cert) as server, pushing_service(tmp_path / "var") as service:
        service.add_recipient("syslog", f"tls://localhost:{server.tcp}", ca_certificate=authority)
        service.report("photos", "failure")
        wait_until("the line", server.lines)
        service.wait_for_attempt("syslog", "sent")
    with rsyslog(tmp_path / "other", cert) as server, pushing_service(tmp_path / "strict") as service:
        service.add_recipient("syslog", f"tls://localhost:{server.tcp}")
        service.report("photos", "failure")
        assert "certificate" in service.wait_for_attempt("syslog", "temporary")["text"].lower()
        assert server.lines() == []


def test_a_server_that_is_away_is_tried_again(tmp_path: Path):
    with pushing_service(tmp_path / "var") as service:
        service.add_recipient("syslog", "tcp://127.0.0.1:9")
        service.report("photos", "failure")
        assert service.wait_for_attempt("syslog", "temporary")["code"] == "connect"
