"""What the relay makes of the mail programs, the account and the mailbox of its Windows host: what cannot be proven goes another way."""

import getpass
import shutil
from pathlib import Path

import pytest

from tests.support.running import wait_until
from tests.windows.site import BRIEFLY, OUTLOOK, Site, goes_by_smtp

OTHER = "Other Mail"


def other_client(site: Site, folder: Path, **steering: str) -> None:
    """Install a second mail program, the host's default, next to Outlook; it is steered by a file of its own."""
    folder.mkdir()
    shutil.copy(site.lab.client / "client.dll", folder)
    (folder / "steer.txt").write_text("".join(f"{name}={value}\n" for name, value in steering.items()))
    real_name = site.lab.client / "olmapi32.dll"  # by this name pywin32 finds Outlook though another is the default
    shutil.copy(site.lab.client / "client.dll", real_name)
    site.lab.forget_clients()
    site.lab.register(OTHER, folder / "client.dll", is_default=True)
    site.lab.register(OUTLOOK, real_name, is_default=False)


def test_a_host_with_only_simple_mapi_sends_nothing_and_learns_it_plainly(site: Site) -> None:
    site.lab.forget_clients()
    site.lab.register(OUTLOOK, site.lab.client / "client.dll", simple_only=True)
    site.start()
    words = "this mail program can only hand mail over, without proof"
    moved = goes_by_smtp(site, "nightly", "Which of them can send without a window? None: ", words)
    assert moved["tries"] == [], "not even tried"
    printed = site.relay("doctor")
    assert (
        f"FAIL Which of them can send without a window?  None: no listed mail program can be used: {OUTLOOK}: {words}"
        in printed
    )


def test_what_the_spooler_takes_is_handed_over_and_the_alert_goes_by_smtp_too(site: Site) -> None:
    site.lab.steer(spooler=1)
    site.start(*BRIEFLY, "--set", "MailUsingSpooler=1", profile="Internet")
    site.fail("nightly")
    [received] = site.smtp.wait_for(1, 150)
    moved = site.message("nightly", "moved")
    [attempt] = moved["tries"]
    assert (attempt["code"], attempt["outcome"]) == ("mapi handed_over", "unknown")
    assert "handed over to the MAPI spooler, unproven" in attempt["text"]
    assert moved["maybe_sent"]
    assert moved["message_id"].encode() in received.data
    assert site.left() == [moved["message_id"]], "the spooler had it"
    assert site.shown()["sent"] == 0, "it is not counted as sent"


def test_a_mail_that_would_lose_characters_goes_by_smtp_with_all_of_them(site: Site) -> None:
    site.lab.steer(ansi=1)
    site.start()
    assert {line["name"]: line["state"] for line in site.shown()["doctor"]}["characters"] == "warning"
    site.fail("nightly", "café 漢字 is locked")
    [received] = site.smtp.wait_for(1, 150)
    moved = site.message("nightly", "moved")
    [attempt] = moved["tries"]
    assert attempt["code"] == "mapi lost_characters"
    assert "characters into question marks" in attempt["text"]
    assert moved["message_id"].encode() in received.data
    assert site.lab.messages("sent") == site.lab.messages("drafts") == site.lab.messages("outbox") == []


def test_a_mail_that_would_lose_characters_leaves_where_no_other_way_exists_and_says_so(site: Site) -> None:
    [admin] = site.service.ask("/v1/recipients")["items"]
    only = [{"transport": "mapi", "address": "admin@example.org"}]
    site.tell("PATCH", f"/v1/recipients/{admin['id']}", transports=only)
    site.lab.steer(ansi=1)
    site.start()
    site.fail("nightly", "café 漢字 is locked")
    sent = site.message("nightly", "sent")
    assert "characters_lost" in str(sent["tries"])
    [mail] = site.lab.messages("sent")
    assert "café ?? is locked" in mail


def test_a_mail_program_that_opens_a_window_is_passed_over_for_the_next_on_the_list(site: Site, tmp_path: Path) -> None:
    other_client(site, tmp_path / "other", dialog="logon")
    site.start("--set", f'MailClientsSupported="{OTHER}", "{OUTLOOK}"')
    shown = site.shown()
    assert shown["client"] == OUTLOOK
    assert f"passed over: {OTHER}: the mail client showed a window: Choose Profile" in shown["client_why"]
    site.fail("nightly")
    sent = site.message("nightly", "sent")
    assert site.left() == [sent["message_id"]]


def test_install_adds_outlook_to_a_list_that_lacks_it(site: Site, tmp_path: Path) -> None:
    other_client(site, tmp_path / "other", dialog="logon")
    old = r"HKLM\System\CurrentControlSet\Services\DS-Client\Parameters"
    site.lab.registry("add", old, "/v", "MailClientsSupported", "/t", "REG_SZ", "/d", f"Outlook Express,{OTHER}", "/f")
    site.start()
    lines = {line["name"]: line for line in site.shown()["doctor"]}
    assert lines["supported clients"]["found"].startswith(f"Outlook Express; {OTHER}; {OUTLOOK} (from ")
    assert site.shown()["client"] == OUTLOOK


def test_a_mail_program_that_starts_while_the_relay_sends_is_reported_to_the_service(
    site: Site, tmp_path: Path
) -> None:
    site.start()
    assert "warning" not in [line["state"] for line in site.shown()["doctor"] if line["name"] == "other mail clients"]
    outlook = tmp_path / "OUTLOOK.EXE"
    shutil.copytree(site.lab.folder / "python", tmp_path / "office")
    outlook = tmp_path / "office" / "OUTLOOK.EXE"
    (tmp_path / "office" / "python.exe").rename(outlook)
    with site.lab.running(outlook, "-c", "import time; time.sleep(300)"):
        job = 0

        def is_reported() -> bool:
            nonlocal job
            job += 1
            site.fail(f"job-{job}", agent=f"host-{job}")
            site.message(f"job-{job}", "sent")
            found = {line["name"]: line for line in site.shown()["doctor"]}["other mail clients"]
            return (found["state"], found["found"]) == ("warning", "No: Outlook is running")

        wait_until("the word about Outlook", is_reported, 120)


@pytest.mark.parametrize("account", [(), ("--account", "LocalSystem"), ("--account", r"NT AUTHORITY\LocalService")])
def test_install_without_an_account_that_has_a_mail_profile_is_refused(site: Site, account: tuple[str, ...]) -> None:
    words = site.relay("install", "--server", site.service.url, "--profile", "Backup", *account)
    assert "set --account" in words
    assert "would have no mail profile and could send nothing" in words
    assert "TocsinRelay" not in site.lab.run("sc", "query", "TocsinRelay"), "nothing was installed"
    assert not (site.home / "relay.json").exists(), "and nothing was stored"


def test_the_doctor_of_another_account_says_that_its_report_is_not_valid_for_the_service(site: Site) -> None:
    assert f"is installed, as .\\{getpass.getuser()}." in site.install()
    assert site.doctor()["service account"]["state"] == "ok"
    assert site.relay("doctor").rstrip().endswith("The relay can send.")
    change = (
        "import win32service as w; m = w.OpenSCManager(None, None, w.SC_MANAGER_ALL_ACCESS);"
        "s = w.OpenService(m, 'TocsinRelay', w.SERVICE_ALL_ACCESS); n = w.SERVICE_NO_CHANGE;"
        r"w.ChangeServiceConfig(s, n, n, n, None, None, 0, None, 'CORP\\relay', 'x', None)"
    )
    site.lab.python("-c", change)
    printed = site.relay("doctor")
    assert r"but the service runs as CORP\relay" in printed
    assert printed.rstrip().endswith("this report is not valid for the service.")
