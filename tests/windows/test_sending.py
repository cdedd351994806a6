"""The shipped relay as a Windows service, against the real service: what leaves the Outbox is proven, and what cannot leave goes another way."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from programs.relay.doctor import QUESTIONS
from tests.support.running import wait_until
from tests.windows.site import BRIEFLY, OUTLOOK, Site, goes_by_smtp


def test_an_alert_leaves_the_outbox_and_its_proof_is_shown(site: Site) -> None:
    site.start()
    site.fail("nightly", "café ☕ is locked")
    sent = site.message("nightly", "sent")
    [attempt] = sent["tries"]
    assert attempt["code"] == "mapi sent"
    assert attempt["evidence"]["proof"] == "found in Sent Items"
    assert site.left() == [sent["message_id"]]
    [mail] = site.lab.messages("sent")
    assert "to: admin@example.org" in mail
    assert "café ☕ is locked" in mail
    assert "<html" in mail
    calls = (site.lab.client / "calls.log").read_text()
    assert "MAPILogonEx flags=0x00118032 Backup" in calls, "the flags of a service: no dialog, no spooler"
    shown = site.shown()
    assert (shown["client"], shown["wrong_now"], shown["profile"]) == (OUTLOOK, None, "Backup")
    assert {line["state"] for line in shown["doctor"]} <= {"ok", "warning"}
    assert site.smtp.messages == []


def test_a_slow_outbox_is_waited_for(site: Site) -> None:
    site.lab.steer(delay_ms=1500)
    site.start()
    site.fail("nightly")
    sent = site.message("nightly", "sent")
    assert sent["tries"][0]["evidence"]["proof"] == "found in Sent Items"
    assert site.left() == [sent["message_id"]]


def test_a_message_that_sticks_in_the_outbox_is_taken_back_and_goes_by_smtp(site: Site) -> None:
    site.start(*BRIEFLY)
    site.lab.steer(stuck=1)
    goes_by_smtp(site, "nightly", "mapi stuck", "'aborted': True")
    assert site.lab.messages("outbox") == site.lab.messages("drafts") == []
    assert "Outbox" in site.shown()["wrong_now"]


def test_a_message_that_cannot_be_taken_back_says_that_it_may_come_twice(site: Site) -> None:
    site.start(*BRIEFLY)
    site.lab.steer(stuck=1, abort="0x80040114")
    moved = goes_by_smtp(site, "nightly", "mapi stuck", "'aborted': False")
    successor = site.service.ask(f"/v1/messages/{moved['moved_to']}")
    assert moved["maybe_sent"]
    assert "may be the second one" in successor["moved_why"]


@pytest.mark.parametrize("moment", ["logon", "submit"])
def test_a_dialog_is_killed_named_and_pauses_the_relay(site: Site, moment: str) -> None:
    site.start()
    site.lab.steer(dialog=moment)
    goes_by_smtp(site, "nightly", "needs_ui", "Choose Profile")
    shown = wait_until("the pause", lambda: (found := site.shown())["paused_at"] and found, 60)
    assert "Choose Profile" in shown["paused_why"]


@pytest.mark.parametrize("moment", ["logon", "submit"])
def test_a_hang_before_the_submission_is_killed_and_tried_again(site: Site, moment: str) -> None:
    site.start("--logon", "30", "--submit", "12")
    site.lab.steer(hang=moment)
    site.fail("nightly")
    message_id = site.message("nightly", "queued", "leased")["id"]

    def tried() -> list[dict[str, Any]]:
        return [one for one in site.service.ask(f"/v1/messages/{message_id}")["tries"] if one["outcome"]]

    [attempt] = wait_until("the end of the attempt", tried, 150)
    assert (attempt["outcome"], attempt["code"]) == ("temporary", "mapi timeout"), attempt
    assert site.left() == []


def test_a_message_whose_child_hung_after_submission_is_looked_for_and_never_sent_again(site: Site) -> None:
    site.start("--submit", "12")
    site.lab.steer(hang="submitted")
    site.fail("nightly")
    sent = site.message("nightly", "sent")
    assert site.left() == [sent["message_id"]]
    assert len(sent["tries"]) == 1


def _internet(site: Site) -> None:
    site.start(profile="Internet")


def _no_such_profile(site: Site) -> None:
    site.start(profile="Nobody's")


def _nothing_installed(site: Site) -> None:
    site.lab.forget_clients()
    site.start()


def _only_outlook_express(site: Site) -> None:
    site.lab.forget_clients()
    site.lab.register("Outlook Express", site.lab.client / "client.dll")
    site.start("--set", "MailClientsSupported=Outlook Express")


@pytest.mark.parametrize(
    ("prepare", "point"),
    [
        (_internet, "tight pair"),
        (_no_such_profile, "profile"),
        (_nothing_installed, "mail client"),
        (_only_outlook_express, "mail client"),
    ],
)
def test_a_host_that_is_not_fit_sends_nothing_and_says_why(
    site: Site, prepare: Callable[[Site], None], point: str
) -> None:
    prepare(site)
    moved = goes_by_smtp(site, "nightly", "mail01", QUESTIONS[point])
    assert moved["tries"] == [], "not even tried"
    lines = {line["name"]: line for line in site.shown()["doctor"]}
    assert (lines[point]["state"], bool(lines[point]["remedy"])) == ("fail", True)
    assert site.doctor()[point]["state"] == "fail"


def test_the_spooler_is_used_where_it_is_forced_with_a_loud_warning(site: Site) -> None:
    site.start(*BRIEFLY, "--set", "MailUsingSpooler=1", profile="Internet")
    lines = {line["name"]: line for line in site.shown()["doctor"]}
    assert (lines["spooler"]["state"], "Outbox forever" in lines["spooler"]["found"]) == ("warning", True)
    goes_by_smtp(site, "nightly", "mapi stuck")
    assert "MAPILogonEx flags=0x00110032 Internet" in (site.lab.client / "calls.log").read_text()


def test_the_old_clients_key_is_honoured_as_it_is(site: Site) -> None:
    """Outlook Express is the host's own choice, and first; Outlook is second on the list of the classic backup client."""
    site.lab.forget_clients()
    real_name = site.lab.client / "olmapi32.dll"  # by this name pywin32 finds Outlook though another is the default
    shutil.copy(site.lab.client / "client.dll", real_name)
    site.lab.register("Outlook Express", site.lab.client / "client.dll", is_default=True)
    site.lab.register(OUTLOOK, real_name, is_default=False)
    old = r"HKLM\System\CurrentControlSet\Services\DS-Client\Parameters"
    names = r"Outlook Express\0Microsoft Outlook"
    site.lab.registry("add", old, "/v", "MailClientsSupported", "/t", "REG_MULTI_SZ", "/d", names, "/f")
    site.start()
    shown = site.shown()
    assert shown["client"] == OUTLOOK
    assert "Outlook Express" in shown["client_why"]
    site.fail("nightly")
    sent = site.message("nightly", "sent")
    assert site.left() == [sent["message_id"]]
