"""A host in trouble, and well again by itself: one failed logon silences no site, and a jammed Outbox holds up one alert only."""

from tests.support.running import wait_until
from tests.windows.site import Site, goes_by_smtp


def test_after_a_failed_logon_the_relay_sends_again_by_itself(site: Site) -> None:
    site.start()
    site.lab.steer(logon="0x80040111")
    goes_by_smtp(site, "first", "mapi logon_failed", "MAPI_E_LOGON_FAILED")
    assert site.shown()["paused_at"] is None, "nobody needs to resume it"
    site.lab.steer()
    wait_until("its recovery", lambda: not site.shown()["wrong_now"], 240)
    site.fail("second")
    sent = site.message("second", "sent")
    assert site.left() == [sent["message_id"]]


def test_one_message_stuck_in_the_outbox_holds_up_no_other(site: Site) -> None:
    """Each used to wait for its own deadline of two minutes: the sixth left after twelve."""
    site.one_mail_each()
    site.start("--drain", "120")
    site.lab.steer(stuck=1)
    for number in range(6):
        site.fail(f"job-{number}")
    received = site.smtp.wait_for(5, 110)
    assert len(site.lab.messages("outbox")) == 1, "the first one still has its time"
    jobs = {job for job in range(6) for mail in received if f"job-{job}".encode() in mail.data}
    assert len(jobs) == 5, "each came once"


def test_a_second_relay_on_the_same_folder_is_refused_and_the_first_sends_on(site: Site) -> None:
    site.start()
    refused = site.relay("run")
    assert "another relay works with" in refused, refused
    site.fail("nightly")
    sent = site.message("nightly", "sent")
    assert site.left() == [sent["message_id"]]
