"""The relay among Windows' services: installed, installed again, stopped in the middle of a message, removed; and what Windows keeps of it."""

import pytest

from tests.support.running import wait_until
from tests.windows.site import Site

EVENTS = r"HKLM\System\CurrentControlSet\Services\EventLog\Application\TocsinRelay"


def test_installed_stopped_started_and_removed(site: Site) -> None:
    site.start()
    assert "running" in site.relay("status")
    assert "running" in site.relay("start"), "it runs already: nothing to complain of"
    assert site.home.stat().st_mode & 0o007 == 0, "other users read neither the key nor the mails"
    assert site.key.encode() not in (site.home / "relay.key").read_bytes(), "the key is sealed"
    assert "servicemanager" in site.lab.run("reg", "query", EVENTS), "else its words stand there as unknown"
    assert "stopped" in site.relay("stop")
    assert "stopped" in site.relay("stop"), "it is stopped already"
    site.fail("while it was stopped")
    assert "running" in site.relay("start")
    site.message("while it was stopped", "sent")
    assert "left_outbox" in site.relay("spool")
    assert "not installed" in site.relay("remove"), "it is stopped first"
    assert "not installed" in site.relay("status")
    assert "servicemanager" not in site.lab.run("reg", "query", EVENTS)
    assert "no service is installed: run `install`" in site.relay("start")
    refused = site.install("--account", "a user whom nobody knows")
    assert "a user whom nobody knows: Windows does not know it" in refused


def test_installed_again_it_keeps_the_options_that_are_not_passed(site: Site) -> None:
    site.start("--set", "MailUsingSpooler=0")
    output = site.relay("install", "--drain", "7", TOCSIN_RELAY_KEY="")
    assert "runs unchanged until `stop` and `start`" in output
    settings = (site.home / "relay.json").read_text()
    assert '"profile": "Backup"' in settings
    assert '"drain": 7.0' in settings
    assert '"logon": 120.0' in settings
    site.relay("stop")
    assert "running" in site.relay("start")
    site.fail("nightly")
    site.message("nightly", "sent")


@pytest.mark.parametrize("moment", ["logon", "submit", "submitted"])
def test_stopped_amid_a_message_it_knows_after_the_start_whether_that_left(site: Site, moment: str) -> None:
    site.start()
    site.lab.steer(hold=moment)
    site.fail("nightly")
    wait_until(f"held at {moment}", lambda: site.lab.held(moment), 120)
    assert "stopped" in site.relay("stop")
    site.lab.steer()
    assert "running" in site.relay("start")
    if moment == "submitted":
        sent = site.message("nightly", "sent")
        assert site.left() == [sent["message_id"]]
    else:
        [attempt] = site.message("nightly", "queued")["tries"]
        assert (attempt["outcome"], site.left()) == ("temporary", [])
    assert site.smtp.messages == []
