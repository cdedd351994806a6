"""The whole path from a failed backup to a sent mail: the real service, a relay on Windows, and a mail server for what MAPI cannot send."""

import contextlib
import getpass
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.running import Running, serving, wait_until
from tests.support.smtp import SmtpServer
from tests.windows.lab import Lab, windows_path

OUTLOOK = "Microsoft Outlook"
# So long that no slow machine ends a step by them; a test that waits for a deadline names a shorter one.
PATIENT = ("--logon", "120", "--submit", "120", "--drain", "60")
BRIEFLY = ("--drain", "3")  # for mail that never leaves the Outbox
_MESSAGE_ID = re.compile(r"^1035001f: (<[^>]+>)", re.MULTILINE)


@dataclass
class Site:
    """One site. The administrator's mail goes by `mapi`, and by SMTP where that cannot."""

    lab: Lab
    program: Path
    service: Running
    smtp: SmtpServer
    relay_id: str
    key: str
    home: Path

    def relay(self, *words: str, **environment: str) -> str:
        """Run the relay's program on the Windows host."""
        arguments = (windows_path(self.program), "--home", windows_path(self.home), *words)
        return self.lab.python(*arguments, **{"TOCSIN_RELAY_KEY": self.key, **environment})

    def install(self, *words: str, profile: str = "Backup") -> str:
        """Install the relay as a service, under the account that owns this Windows."""
        account = ("--account", getpass.getuser(), "--password", "Wine asks for none")
        return self.relay("install", "--server", self.service.url, "--profile", profile, *account, *PATIENT, *words)

    def start(self, *words: str, profile: str = "Backup") -> None:
        """Install and start it, and wait until the service has its doctor's report."""
        self.install(*words, profile=profile)
        output = self.lab.run("sc", "start", "TocsinRelay")
        assert "FAILED" not in output, output + self.log()
        try:
            wait_until("the doctor's report", lambda: self.shown()["doctor_at"], 180)  # longer than a logon may take
        except TimeoutError as late:
            raise AssertionError(
                f"{late}\n{self.lab.run('sc', 'query', 'TocsinRelay')}\n{self.log()[-3000:]}"
            ) from late

    def stop(self) -> None:
        """Stop it and take it out."""
        self.relay("remove")

    def doctor(self) -> dict[str, dict[str, str]]:
        """Have the doctor look from the command line; return its lines by point."""
        output = self.relay("doctor", "--json")
        lines = json.loads(output[output.index("{") :])["lines"]
        return {line["point"]: line for line in lines}

    def log(self) -> str:
        """Return the relay's own log."""
        path = self.home / "relay.log"
        return path.read_text("utf-8", "replace") if path.exists() else "(no log)"

    def shown(self) -> dict[str, Any]:
        """Return the relay as the API shows it."""
        return self.service.ask(f"/v1/relays/{self.relay_id}")

    def fail(self, job: str, words: str = "repository is locked", agent: str = "sql01") -> None:
        """Report a failed backup, of the kind that never waits, unless its agent has reported twenty."""
        event = {"agent": agent, "job": job, "outcome": "failure", "severity": "critical", "message": words}
        key = {"Authorization": f"Bearer {self.service.enrol_key}"}
        httpx.post(f"{self.service.url}/v1/events", json=event, headers=key, timeout=30).raise_for_status()

    def tell(self, method: str, path: str, **body: Any) -> Any:
        """Ask the API as an administrator."""
        key = {"Authorization": f"Bearer {self.service.admin_key}"}
        answer = httpx.request(method, self.service.url + path, json=body or None, headers=key, timeout=30)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def one_mail_each(self) -> None:
        """Have no two alerts share a mail, however close they come."""
        [route] = self.service.ask("/v1/routes")["items"]
        self.tell("PATCH", f"/v1/routes/{route['id']}", group_by=["job"], group_interval_s=0)

    def message(self, job: str, *states: str, patience_s: float = 150) -> dict[str, Any]:
        """Wait until the message about a job is in one of these states, and return it with its attempts."""

        def look() -> dict[str, Any] | None:
            items = self.service.ask("/v1/messages", transport="mapi", limit="200")["items"]
            found = next((one for one in items if job in one["subject"] and one["state"] in states), None)
            return None if found is None else self.service.ask(f"/v1/messages/{found['id']}")

        try:
            return wait_until(f"{job} {states}", look, patience_s)
        except TimeoutError as late:
            known = [(one["subject"], one["state"], one["why"]) for one in self.service.ask("/v1/messages")["items"]]
            raise AssertionError(f"{late}: {known}\n{self.log()[-3000:]}") from late

    def left(self) -> list[str]:
        """Return the Message-IDs of all that left the mail client's Outbox, each as often as it left."""
        return [found[1] for text in self.lab.messages("sent") if (found := _MESSAGE_ID.search(text))]


@contextlib.contextmanager
def sited(lab: Lab, program: Path, folder: Path) -> Iterator[Site]:
    """Set a site up, and take it down again."""
    lab.clear()
    lab.forget_clients()
    lab.register(OUTLOOK, lab.client / "client.dll")
    with SmtpServer() as smtp, serving(
        folder / "service", TOCSIN_SMTP_URL=f"smtp://localhost:{smtp.port}?tls=none", TOCSIN_ADMIN_EMAIL="admin@example.org"
    ) as service:  # fmt: skip
        site = Site(lab, program, service, smtp, "", "", folder / "relay home")
        site.relay_id = site.tell("POST", "/v1/relays", name="mail01")["id"]
        site.key = site.tell("POST", "/v1/keys", kind="relay", name="mail01", relay_id=site.relay_id)["key"]
        [admin] = service.ask("/v1/recipients")["items"]
        ways = [{"transport": way, "address": "admin@example.org"} for way in ("mapi", "smtp")]
        site.tell("PATCH", f"/v1/recipients/{admin['id']}", transports=ways)
        try:
            yield site
        finally:
            site.stop()


def goes_by_smtp(site: Site, job: str, *expected: str) -> dict[str, Any]:
    """Fail a job; its alert must come by SMTP, once, and its MAPI message must say why."""
    site.fail(job)
    [received] = site.smtp.wait_for(1, 150)
    assert job.encode() in received.data
    moved = site.message(job, "moved")
    reasons = " ".join([moved["why"], *(f"{one['code']} {one['text']} {one['evidence']}" for one in moved["tries"])])
    for words in expected:
        assert words in reasons, reasons
    assert moved["message_id"].encode() in received.data, "the same Message-ID"
    assert site.left() == []
    return moved
