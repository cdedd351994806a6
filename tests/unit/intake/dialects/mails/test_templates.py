"""The mails of tools that follow a template: one row a mail, with the tool, host, job and outcome that are read from it."""

import pytest

from app.intake.dialects import mail
from app.intake.dialects.tool_request import ToolRequest
from app.intake.parse import WireEvent

WSB = "The backup operation that started at '2026-11-23T01:00:00Z' has %s.\nComputer: SQL01\n"
QNAP = (
    'NAS Name: NAS1\nSeverity: %s\nApp Name: Hybrid Backup Sync\nMessage: [Hybrid Backup Sync] %s: "Photos to cloud".\n'
)
BACULA = "  JobId:                  5\n  Job:                    Daily.2026-11-23_01.00.00_03\n  Termination:            *** %s ***\n"
DUPLICATI = "DeletedFiles: 0\nMainOperation: Backup\nParsedResult: %s\nFilesWithError: 0\n"
KOPIA = "Path: /srv\n\n  Status:      success\n  Start:       Mon, 23 Nov 2026 02:00:00 +0100\n"


def read(subject: str, body: str, sender: str = "tool@nas01", agent: str | None = None) -> WireEvent:
    head = f"Subject: {subject}\r\nFrom: {sender}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    (event,) = mail.read(ToolRequest(body=(head + body).encode(), agent=agent))
    return event


@pytest.mark.parametrize(
    ("subject", "body", "tool", "host", "job", "outcome"),
    [
        ("[Success] VM-Nightly (1 VMs) 2 warnings", "", "veeam", None, "VM-Nightly", "warning"),
        ("[Success] VM-Nightly (3 VMs) 1 failed, 2 retried", "", "veeam", None, "VM-Nightly", "failure"),
        ("[Success] VM-Nightly (3 VMs)", "Success 3\nWarning 0\nError 0\n", "veeam", None, "VM-Nightly", "success"),
        ("[Success] VM-Nightly (3 VMs)", "Success\n3\nWarning\n0\nError\n0\n", "veeam", None, "VM-Nightly", "success"),
        ("[Success] VM-Nightly (3 VMs)", "Success 2\nWarning 0\nError 1\n", "veeam", None, "VM-Nightly", "failure"),
        ("[Success] VM-Nightly (3 VMs)", "Success\n2\nWarning\n1\nError\n0\n", "veeam", None, "VM-Nightly", "warning"),
        ("[EXTERNAL] WG: [Failed] VM-Nightly (2 objects)", "Error: full", "veeam", None, "VM-Nightly", "failure"),
        ("Job VM-Nightly completed: Warning", "", "veeam", None, "VM-Nightly", "warning"),
        ("Cron <root@web01> /usr/bin/copy-failed-orders", "Everything saved.\nDone.\n", "cron", "web01",
         "/usr/bin/copy-failed-orders (root@web01)", "success"),
        ("Cron <root@web02> /usr/bin/copy-failed-orders", "rsync error: broken pipe (code 12)\n", "cron", "web02",
         "/usr/bin/copy-failed-orders (root@web02)", "failure"),
        ("Cron <borg@web01> /usr/bin/success", "", "cron", "web01", "/usr/bin/success (borg@web01)", "unclear"),
        ("Cron <borg@web01> /usr/bin/x (failed with exit status 3)", "Done.", "cron", "web01", "/usr/bin/x (borg@web01)", "failure"),
        ("[web01] Failure: borg's crontab \"/usr/bin/x\"", "", "cron", "web01", "/usr/bin/x (borg@web01)", "failure"),
        ('"Exchange" job: Successful', "Job Run Report", "nakivo", None, "Exchange", "success"),
        ('"Exchange" job: Failed', "Job Run Report", "nakivo", None, "Exchange", "failure"),
        ('"Exchange" job: Stopped', "Job Run Report", "nakivo", None, "Exchange", "cancelled"),
        ("[NAS] Backup task [Photos] has failed", "", "synology", None, "Photos", "failure"),
        ("Hyper Backup on DS918 failed", "Your backup task failed.\nBackup Task: Photos\n", "synology", None, "Photos", "failure"),
        ("Acronis notification", "Machine name: PC7\nPlan name: Daily\nStatus: Completed\n", "acronis", "PC7", "Daily", "success"),
        ("Acronis notification", "Machine name: PC7\nPlan name: Daily\nStatus: Failed\n", "acronis", "PC7", "Daily", "failure"),
        ("Acronis notification", "Plan name: Daily\nStatus: Success\n3 files failed\n", "acronis", None, "Daily", "failure"),
        ("MSP360 Backup", "Computer name: PC7\nPlan name: Docs\nStatus: Warning\n", "msp360", "PC7", "Docs", "warning"),
        ("CloudBerry report", "Plan name\nDocs\nStatus\nFail\nComputer name\nPC7\n", "msp360", "PC7", "Docs", "failure"),
        ("Backup set NIGHTLY did not start", "", "asigra", None, "NIGHTLY", "failure"),
        ("Backup Job", "Backup Set: \\\\srv01\\Docs\nErrors: 0\nCompletion: Did not start\n", "asigra", "srv01", "Docs", "failure"),
        ("Arcserve UDP Alert", "Node Name: SQL01\nPlan Name: Gold\nJob Status: Finished\n", "arcserve", "SQL01", "Gold", "success"),
        ("Arcserve UDP Alert", "Node Name: SQL01\nPlan Name: Gold\nJob Status: Missed\n", "arcserve", "SQL01", "Gold", "failure"),
        ("[Info][Hybrid Backup Sync] Notification", QNAP % ("Info", "Finished Backup job"), "qnap", "NAS1", "Photos to cloud", "success"),
        ("[Error][Hybrid Backup Sync] Notification", QNAP % ("Error", "Stopped Backup job"), "qnap", "NAS1", "Photos to cloud", "failure"),
        ("Event 4", WSB % "finished successfully", "windows-server-backup", "SQL01", "Windows Server Backup on SQL01", "success"),
        ("Event 5", WSB % "failed with following error code '0x80780049'", "windows-server-backup", "SQL01",
         "Windows Server Backup on SQL01", "failure"),
        ("Night report for Docs", DUPLICATI % "Success", "duplicati", None, "Night for Docs", "success"),
        ("Error: Night report for Docs", DUPLICATI % "Error", "duplicati", None, "Night for Docs", "failure"),
        ("Duplicati Restore report for Docs", DUPLICATI % "Success", "duplicati", None, "Docs", "success"),
        ("Bacula: Backup Error of nas01-fd Full", BACULA % "Backup Error", "bacula", "nas01-fd", "Daily", "failure"),
        ("Bacula: Backup OK of nas01-fd Full", BACULA % "Backup OK", "bacula", "nas01-fd", "Daily", "success"),
        ("Bacula: Backup Not OK of nas01-fd Full", "", "bacula", "nas01-fd", "nas01-fd", "failure"),
        ("Bacula: Copy OK of nas01-fd Full", BACULA % "Copying -- no files to copy", "bacula", "nas01-fd", "Daily", "success"),
        ("Bareos: Verify OK of nas01-fd Full", BACULA % "Verify Differences", "bareos", "nas01-fd", "Daily", "failure"),
        ("Bacula: Backup OK of nas01-fd Full", BACULA % "Backup OK -- with warnings", "bacula", "nas01-fd", "Daily", "warning"),
        ("Bareos: Backup OK of nas01-fd Full", BACULA % "*** Backup Error ***", "bareos", "nas01-fd", "Daily", "failure"),
        ("Bareos: Backup OK of nas01-fd Full", BACULA % "Backup Canceled", "bareos", "nas01-fd", "Daily", "cancelled"),
        ("Bacula: Backup OK of nas01-fd Full", "  Non-fatal FD errors:    2\n" + BACULA % "Backup OK", "bacula", "nas01-fd", "Daily", "warning"),
        ("Bacula: Backup OK of nas01-fd Full", "  Backup Level:  Full\n  FD Files Written:  0\n" + BACULA % "Backup OK",
         "bacula", "nas01-fd", "Daily", "warning"),
        ("Night report for Docs", DUPLICATI % "Success" + "\nErrors: 1\n", "duplicati", None, "Night for Docs", "warning"),
        ("Successfully created a snapshot of /srv on nas01", KOPIA, "kopia", "nas01", "/srv", "success"),
        ("vzdump backup status (pve1): backup failed", "", "proxmox", "pve1", "vzdump on pve1", "failure"),
    ],
)  # fmt: skip
def test_a_template_names_tool_host_job_and_outcome(
    subject: str, body: str, tool: str, host: str | None, job: str, outcome: str
):
    event = read(subject, body)
    assert ((event.get("labels") or {})["tool"], event.get("agent"), event.get("job"), event.get("outcome")) == (
        tool,
        host,
        job,
        outcome,
    )


def test_baculas_fatal_error_is_the_message():
    body = "23-Nov 01:00 dir JobId 5: Error: first\n23-Nov 01:00 dir JobId 5: Fatal error: Network error with FD\n"
    event = read("Bacula: Backup Fatal Error of nas01-fd Full", body + BACULA % "Backup Error")
    assert event.get("message") == "Fatal error: Network error with FD"


def test_the_same_path_of_two_hosts_under_the_key_of_their_server_is_two_jobs():
    jobs = {
        read(f"Successfully created a snapshot of /srv on {host}", KOPIA, agent="kopia-server").get("job")
        for host in ("nas01", "nas02", "kopia-server")
    }
    assert jobs == {"/srv on nas01", "/srv on nas02", "/srv"}


@pytest.mark.parametrize(
    ("subject", "body", "outcome"),
    [
        ("Backup completed on 2026-11-23", "STATUS: Failed\n", "failure"),
        ("Backup of Docs failed", "completed on 2026-11-23", "failure"),
        ("no backups of pc7 have succeeded", "", "failure"),
        ("Backup of Docs", "All 12 files saved, backup completed successfully.\n", "success"),
        ("Backup of Docs completed", "tar: /srv/x: Cannot open: Permission denied\n", "failure"),
        ("Kind regards", "See you.\n", "unclear"),
    ],
)
def test_subject_and_body_are_read_together_and_trouble_wins(subject: str, body: str, outcome: str):
    assert read(subject, body).get("outcome") == outcome
