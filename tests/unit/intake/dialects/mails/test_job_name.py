"""Which job a subject names: two jobs never share a name, and the subjects of one job, whatever the outcome and date, name the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.dialects.mails.job_name import name_job
from app.intake.dialects.mails.subject_words import outcome_terms
from app.intake.dialects.mails.varying import without_gateway_tags

JOBS = [
    "pc7", "web01", "Docs", "Photos", "SQL Nightly", "Büro", "failover-db", "critical-vms", "errorlogs", "Server 2", "Server 3",
    "file server", "/srv/data", "Daily Backup", "HR Files", "Exchange 2019", "Exchange 2022", "vm-101", "nas", "E:", "Files", "VMs",
]  # fmt: skip
OUTCOMES = [
    "completed", "completed successfully", "succeeded", "successful", "finished without errors", "OK", "done", "was successful",
    "has completed with 0 errors", "completed at 02:13 (12 GB)", "completed in 1h 3m, 97 %", "erfolgreich abgeschlossen", "ist fertig",
    "réussie", "con éxito", "completata con successo", "is voltooid", "concluído com sucesso",
    "failed", "FAILED", "has failed", "failed with 3 errors", "completed with errors", "could not be completed", "was not successful",
    "aborted", "finished with warnings", "failed: disk full", "failed after 3 retries", "failed (exit code 3)", "did not start",
    "timed out", "fehlgeschlagen", "konnte nicht abgeschlossen werden", "mit Fehlern beendet", "a échoué", "falló", "non riuscita",
    "is mislukt", "falhou",
]  # fmt: skip
DATES = [
    "",
    " on 2026-11-23",
    " at 02:00",
    " - 23/11/2026 02:00:13",
    " (Mon, 23 Nov 2026)",
    " 2026-11-24T02:00:13Z",
    " #4711",
]
TEMPLATES = [
    "Backup of {job} {outcome}{date}", "{job} backup {outcome}{date}", "{job}: {outcome}{date}", "Backup {outcome}: {job}{date}",
    "[{outcome}] {job}{date}", "{outcome} - {job}{date}", 'Backup job "{job}" {outcome}{date}', "Sicherung von {job} {outcome}{date}",
    "Job {job} {outcome}{date}", "❌ {job} {outcome}{date}",
]  # fmt: skip
outcome_terms()  # read from the word files once, before anything is timed
TAGS = [
    "",
    "[EXTERNAL] ",
    "[EXTERN] ",
    "Fwd: ",
    "WG: ",
    "RE: ",
    "AW: ",
    "R: ",
    "TR: ",
    "[SPAM?] ",
    "RE: [EXTERNAL] WG: ",
]


@given(*(st.sampled_from(choices) for choices in (TEMPLATES, JOBS, OUTCOMES, OUTCOMES, DATES, DATES, TAGS, TAGS)))
def test_subjects_of_one_job_name_one_job(
    template: str, job: str, outcome: str, other: str, date: str, later: str, tag: str, other_tag: str
):
    first = name_job(tag + template.format(job=job, outcome=outcome, date=date))
    assert first == name_job(other_tag + template.format(job=job, outcome=other, date=later))
    assert first != ""


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_outcome_and_no_date_is_part_of_a_name(template: str):
    names = {name_job(template.format(job="pc7", outcome=outcome, date="")) for outcome in OUTCOMES}
    names |= {
        name_job(template.format(job="pc7", outcome=outcome, date=date)) for outcome in OUTCOMES[:3] for date in DATES
    }
    assert len(names) == 1, names


@given(*(st.sampled_from(choices) for choices in (TEMPLATES, OUTCOMES, OUTCOMES, DATES, DATES)), st.data())
def test_subjects_of_two_jobs_never_name_one(
    template: str, outcome: str, other: str, date: str, later: str, data: st.DataObject
):
    job, different = data.draw(st.lists(st.sampled_from(JOBS), min_size=2, max_size=2, unique=True))
    first = name_job(template.format(job=job, outcome=outcome, date=date))
    assert first != name_job(template.format(job=different, outcome=other, date=later))


@pytest.mark.parametrize(
    ("subject", "job"),
    [
        ("Docs failed", "Docs"),
        ("Photos completed", "Photos"),
        ("Backup of pc7 failed", "Backup of pc7"),
        ("Backup of pc7 completed successfully", "Backup of pc7"),
        ("Backup of pc7 has failed on nas", "Backup of pc7 on nas"),
        ("Job 2 failed", "Job 2"),
        ("2 of 5 jobs failed", ""),
        ("All jobs completed", ""),
        ("Files failed", "Files"),
        ("Docs - 12 crates moved", "Docs crates moved"),
        ("365 backup failed", "365 backup"),
        ("Server 2 backup: 3 of 12 files, 14 GB, run 17", "Server 2 backup"),
        ('Backup "Unfinished Novels" completed', "Backup Unfinished Novels"),
        ("Sicherung „Fehlerliste alt“ erfolgreich", "Sicherung Fehlerliste alt"),
        ("夜间备份 web01 失败", "夜间备份 web01"),
        ("snapshot 9f8e7d6c5b of web01 OK", "snapshot of web01"),
        ("backup of DE failed", "backup of DE"),
        ("Backup of pc7 failed: connection lost", "Backup of pc7"),
        ("ERROR nas01: backup of docs failed", "nas01 backup of docs"),
        ("OK - Docs - Backup completed", "Docs"),
        ("OK - Docs - Restore completed", "Docs Restore"),
        ("Erro fatal ao gravar a fita: arquivo", "ao gravar a fita arquivo"),
        ("Job 88121 ended with status 1", "Job"),
        ("", ""),
    ],
)
def test_what_remains_of_a_subject_is_the_job(subject: str, job: str):
    assert name_job(subject) == job


@pytest.mark.parametrize(
    ("subject", "plain"),
    [
        ("[EXTERNAL] WG: AW: Docs failed", "Docs failed"),
        ("*** SPAM *** Docs failed", "Docs failed"),
        ("Re[2]: Docs failed", "Docs failed"),
        ("[Failed] Docs", "[Failed] Docs"),
        ("Report: Docs failed", "Report: Docs failed"),
    ],
)
def test_what_gateways_and_replies_add_is_taken_away(subject: str, plain: str):
    assert without_gateway_tags(subject) == plain


@given(st.text(max_size=1200))
def test_any_subject_is_named_without_an_error(subject: str):
    assert isinstance(name_job(subject), str)


@pytest.mark.parametrize(
    "subject", ["Backup report {} of the bakery", "Bakery: notification {}", "Rapport {} de la boulangerie"]
)
def test_a_report_that_is_numbered_is_the_same_job_each_night(subject: str):
    assert name_job(subject.format(4711)) == name_job(subject.format(4712))
    assert name_job("Report 3 completed") != name_job("Report 4 completed"), "a short number may belong to a name"
