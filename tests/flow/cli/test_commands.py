"""The command line as a newcomer meets it: first start, demo, doctor, keys; and what it says when something is in the way."""

import re
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Served, serving_process, tocsin
from tests.support.postgres import Cluster
from tests.support.running import CLIENT, wait_until
from tests.support.smtp import Behave, SmtpServer


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving_process(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def shared(shared_folder: Path) -> Iterator[Served]:
    """One service for the tests that change nothing in it."""
    with serving_process(shared_folder) as served:
        yield served


def word_after(label: str, text: str) -> str:
    return next(line.split(label)[1].split()[0] for line in text.splitlines() if label in line)


def test_the_first_start_shows_its_keys_once(served: Served, tmp_path: Path) -> None:
    admin = word_after("Admin key", served.output)
    enrol = word_after("Enrolment key", served.output)
    kept = tmp_path / "var" / "first-keys.env"
    assert kept.read_text().splitlines() == [f"TOCSIN_ADMIN_KEY={admin}", f"TOCSIN_ENROL_KEY={enrol}"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "Mail goes to   var/mail" in served.output
    docs = CLIENT.get(f"http://127.0.0.1:{served.port}/docs")
    assert docs.status_code == 200
    assert "server" not in docs.headers
    headers = {"Authorization": f"Bearer {admin}"}
    customers = CLIENT.get(f"http://127.0.0.1:{served.port}/v1/customers", headers=headers)
    assert [one["name"] for one in customers.json()["items"]] == ["My backups"]
    code, seconds = served.stop()
    assert code == 0
    assert seconds < 40
    with serving_process(tmp_path) as again:
        assert "key" not in again.output.lower(), "keys are shown once"


def test_the_demo_brings_alerts_and_a_summary_within_seconds(served: Served, tmp_path: Path) -> None:
    shown = tocsin(tmp_path, "demo", "--no-wait", port=served.port)
    assert shown.returncode == 0, shown.stderr
    assert "12 agents reported 419 runs of 30 jobs at 4 customers." in shown.stdout
    mails = [Path(line.strip()) for line in shown.stdout.splitlines() if line.strip().endswith(".eml")]
    sent = [line for line in shown.stdout.splitlines() if line.startswith("Mail sent")]
    assert len(mails) == len(sent) == 4
    assert sum("FAILED" in line for line in sent) == 2
    assert any("Backups" in line for line in sent)
    assert all((tmp_path / mail).is_file() for mail in mails)
    again = tocsin(tmp_path, "demo", "--no-wait", port=served.port)
    assert again.returncode == 0, again.stderr
    listed = tocsin(tmp_path, "keys", "list").stdout.splitlines()
    assert not [line for line in listed if "demo" in line and "revoked" not in line], "the demo leaves no key behind"


def test_the_demo_names_what_is_missing(tmp_path: Path) -> None:
    no_key = tocsin(tmp_path, "demo")
    assert (no_key.returncode, no_key.stdout) == (2, "")
    assert "no admin key" in no_key.stderr
    no_service = tocsin(tmp_path, "demo", "--url", "http://127.0.0.1:1", admin_key="x" * 20)
    assert no_service.returncode == 2
    assert "no service answers" in no_service.stderr
    assert len(no_service.stderr.splitlines()) == 1, "no stack trace"


def test_while_the_service_runs_sqlite_has_no_second_writer(
    shared: Served, shared_folder: Path, tmp_path: Path
) -> None:
    for words in (("keys", "create", "admin"), ("migrate",), ("serve",)):
        refused = tocsin(shared_folder, *words)
        assert refused.returncode == 2, words
        assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert tocsin(shared_folder, "keys", "list").returncode == 0, "reading is no harm"
    taken = tocsin(shared_folder, "serve", var_dir=str(tmp_path / "other"), port=shared.port)
    assert taken.returncode == 2
    assert "cannot listen" in taken.stderr


@pytest.mark.parametrize("after_s", [0, 0.03, 0.1])
def test_a_signal_right_after_the_start_stops_the_service(served: Served, after_s: float) -> None:
    time.sleep(after_s)
    code, seconds = served.stop()
    assert code in (0, -signal.SIGTERM)
    assert seconds < 40


def test_keys_can_be_created_while_the_service_is_stopped(served: Served, tmp_path: Path) -> None:
    served.stop()
    made = tocsin(tmp_path, "keys", "create", "enrol", "--name", "Acme, all hosts")
    assert made.stdout.startswith("tocsin_enrol_")
    [line] = [line for line in tocsin(tmp_path, "keys", "list").stdout.splitlines() if "Acme" in line]
    assert tocsin(tmp_path, "keys", "revoke", line.split()[0]).returncode == 0
    [line] = [line for line in tocsin(tmp_path, "keys", "list").stdout.splitlines() if "Acme" in line]
    assert "revoked" in line
    limits = ("--names", "acme-*", "--from", "10.1.0.0/16", "--most", "25", "--until", "2035-01-31", "--approve")
    assert tocsin(tmp_path, "keys", "create", "enrol", "--name", "Acme, limited", *limits).returncode == 0
    budgets = (
        "--events-a-minute",
        "600",
        "--new-agents-an-hour",
        "20",
        "--new-jobs-an-hour",
        "200",
        "--bytes-a-day",
        "9999",
    )
    assert tocsin(tmp_path, "keys", "create", "enrol", "--name", "Acme, slow", *budgets).returncode == 0
    for wrong in (("enrol", "--from", "10.1.0.0/99"), ("viewer", "--names", "x"), ("viewer", "--bytes-a-day", "9")):
        refused = tocsin(tmp_path, "keys", "create", *wrong)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    unknown = tocsin(tmp_path, "keys", "create", "enrol", "--customer", "nobody")
    assert (unknown.returncode, "no customer 'nobody'" in unknown.stderr) == (2, True)


def test_the_doctor_lists_what_is_missing(served: Served, tmp_path: Path) -> None:
    result = tocsin(tmp_path, "doctor")
    assert result.returncode == 1
    assert "! No mail server is set" in result.stdout
    assert "- No agent has reported anything yet" in result.stdout
    served.stop()
    still = tocsin(tmp_path, "doctor", smtp_url="smtp://127.0.0.1:1", admin_email="ann@example.org")
    assert "! No worker had a heartbeat" in still.stdout
    assert "No mail server" not in still.stdout
    nothing = tocsin(tmp_path, "doctor", var_dir=str(tmp_path / "nowhere"))
    assert (nothing.returncode, "no database yet" in nothing.stdout) == (1, True)


def test_the_doctor_reports_a_failed_login_at_once(tmp_path: Path) -> None:
    refusal = {"AUTH": "535-5.7.8 wrong\r\n535 ! Nothing is wrong."}
    with SmtpServer(Behave(answers=refusal), users={"tocsin": "right"}) as server:
        mail = {
            "smtp_url": f"smtp://tocsin:wrong@{server.host}:{server.port}?tls=none",
            "admin_email": "ann@example.org",
        }
        with serving_process(tmp_path, **mail) as served:
            key = {"Authorization": f"Bearer {word_after('Enrolment key', served.output)}"}
            event = {"agent": "a", "job": "j", "phase": "finished", "outcome": "failure"}
            CLIENT.post(f"http://127.0.0.1:{served.port}/v1/events", headers=key, json=event)
            found = wait_until(
                "the refusal",
                lambda: re.search(r"! The last attempt over smtp .*", tocsin(tmp_path, "doctor", **mail).stdout),
            )
            asked = tocsin(tmp_path, "doctor", **mail).stdout
    assert "ended temporary: auth 535" in found[0]
    assert "1 message(s) wait for it. Check user, password and `auth` in TOCSIN_SMTP_URL" in found[0]
    assert f"! The mail server {server.host}:{server.port} cannot be used now: auth 535" in asked
    assert "wrong@" not in asked
    assert "\n! Nothing" not in asked, "no answer looks like a line of the doctor"


def test_a_test_message_prints_its_result(tmp_path: Path) -> None:
    sent = tocsin(tmp_path, "send-test", "--to", "ann@example.org", "--transport", "file")
    assert sent.returncode == 0
    assert sent.stdout.splitlines()[-1].startswith("sent  written  ")
    away = tocsin(tmp_path, "send-test", "--to", "ann@example.org", smtp_url="smtp://127.0.0.1:1")
    assert away.returncode == 1
    assert away.stdout.splitlines()[-1].startswith("temporary")
    assert "Check host and port in TOCSIN_SMTP_URL" in away.stderr
    for words, why in ((("--to", "ann"), "not a mail address"), (("--to", "ann@example.org"), "TOCSIN_SMTP_URL")):
        refused = tocsin(tmp_path, "send-test", *words)
        assert (refused.returncode, why in refused.stderr) == (2, True)


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    refused = tocsin(tmp_path, "serve", port="many")
    assert refused.returncode == 2
    assert refused.stderr.startswith("tocsin: TOCSIN_PORT:")
    for command in ("serve", "worker", "doctor"):
        nonsense = tocsin(tmp_path, command, smtp_url="smtp://u:hunter2@mail.example.org?tsl=tls")
        assert (nonsense.returncode, nonsense.stdout) == (2, "")
        assert nonsense.stderr == "tocsin: TOCSIN_SMTP_URL: the only parameters are tls and auth, each once\n"
    alone = tocsin(tmp_path, "worker")
    assert (alone.returncode, "tocsin serve" in alone.stderr) == (2, True)


@pytest.mark.postgres
def test_a_database_that_cannot_be_used_is_reported_with_its_failure_and_its_setting(
    postgres_cluster: Cluster, tmp_path: Path
) -> None:
    there = postgres_cluster.url("no_such_database").replace("postgresql+asyncpg://", "postgresql://")
    for url, trouble in (
        (there, "InvalidCatalogNameError"),
        ("postgresql://u:hunter2@127.0.0.1:1/x", "ConnectionRefusedError"),
    ):
        refused = tocsin(tmp_path, "serve", database_url=url, port="0")
        last = refused.stderr.splitlines()[-1]
        assert refused.returncode == 2
        assert (trouble in last, "TOCSIN_DATABASE_URL" in last) == (True, True), last
        assert "hunter2" not in refused.stderr


@pytest.mark.postgres
def test_on_postgresql_the_service_waits_for_the_migrations(postgres_cluster: Cluster, tmp_path: Path) -> None:
    url = postgres_cluster.create_database("cli_empty").replace("postgresql+asyncpg://", "postgresql://")
    refused = tocsin(tmp_path, "serve", database_url=url, port="0")
    assert refused.returncode == 2
    assert "the database is empty; run `tocsin migrate`" in refused.stderr
    assert tocsin(tmp_path, "migrate", database_url=url).returncode == 0
    with serving_process(tmp_path, database_url=url) as served:
        assert "Admin key" in served.output
        made = tocsin(tmp_path, "keys", "create", "viewer", database_url=url)
        assert made.stdout.startswith("tocsin_viewer_"), "on PostgreSQL the service may run meanwhile"
        assert served.stop()[0] == 0


def test_the_api_documentation_page_loads_nothing_from_the_internet(shared: Served) -> None:
    base = f"http://127.0.0.1:{shared.port}"
    page = CLIENT.get(f"{base}/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded
    for path in loaded:
        assert path.startswith("/docs/static/")
        assert CLIENT.get(base + path).status_code == 200
