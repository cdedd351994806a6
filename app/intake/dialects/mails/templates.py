"""Read mails that follow the template of a known tool: job, host and outcome.

Sources: Veeam's and Bacula's mails (in tests/corpus), docs.duplicati.com ("Custom message content"), the source of systemd-cron, QNAP's mails
as collectors of such mails parse them. Synology's, Nakivo's and Windows Server Backup's texts and cronie's `(failed ...)` were written without
a real mail at hand and have to be compared with one. Tools whose mails are lists of labels: `labelled.py`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from app.domain.event import READING, STATUS_FIELD
from app.intake.dialects import duplicati, kopia, proxmox
from app.intake.dialects.mails import labelled
from app.intake.dialects.mails.job_name import name_job
from app.intake.dialects.mails.received import ReceivedMail
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.language.log_errors import find_log_errors
from app.intake.language.reader import Meaning, Reading, read_words
from app.intake.parse import WireEvent

_HEAD = 64 * 1024


def read_template(mail: ReceivedMail, request: ToolRequest) -> Sequence[WireEvent] | None:
    """Return the events of a mail whose template is known; None for any other mail, whose words decide. Raises NotUnderstood."""
    subject = mail.plain_subject
    if kopia.is_kopia_subject(subject):  # its subject says "Successfully" of partial snapshots too
        return _read_kopia(mail, request)
    if proxmox.is_proxmox_title(subject):
        return proxmox.read_report(proxmox.ProxmoxReport(subject, mail.text, at=mail.at, key=mail.key, job=mail.job))
    for pattern, read in _SUBJECTS:
        found = pattern.match(subject)
        if found is not None:
            return [read(mail, found)]
    if _is_duplicati(mail):
        return [_read_duplicati(mail)]
    if _WINDOWS_SERVER_BACKUP.search(mail.text[:_HEAD]):
        labels = labelled.find_labels(mail.text)
        host = next(
            (labels[name] for name in ("computer", "computer name", "server", "server name") if name in labels), None
        )
        where = host or mail.sender
        job = f"Windows Server Backup on {where}" if where else "Windows Server Backup"
        return [make_mail_event("windows-server-backup", mail, job, reading=read_mail_words(mail), host=host)]
    report = labelled.read_labels(mail)
    return None if report is None else [_read_labelled(mail, report)]


def make_mail_event(
    tool: str,
    mail: ReceivedMail,
    job: str,
    *,
    outcome: str | None = None,
    reading: Reading | None = None,
    activity: str = "backup",
    host: str | None = None,
    run: str | None = None,
    message: str | None = None,
    metrics: Mapping[str, object] | None = None,
) -> WireEvent:
    """Return the event of a mail. `outcome` comes from a field of the template; without one, the `reading` of its words decides.

    The key's job comes before the one that the mail names. Without a host, the agent is the sender if the key belongs to no agent.
    """
    if outcome is not None:
        reading = None
    return make_event(
        tool,
        agent=host,
        job=mail.job or job,
        run=run,
        activity=activity,
        phase="finished" if outcome is not None else None,
        outcome=outcome,
        at=mail.at,
        message=message or mail.subject or None,
        log=mail.text or None,
        metrics=metrics,
        extra={READING: {"meaning": outcome, "words": "", "rule": STATUS_FIELD}} if outcome is not None else None,
        key=mail.key,
        reading=reading,
    )


def read_mail_words(mail: ReceivedMail, *, subject: str | None = None) -> Reading:
    """Return what subject and body say together. A success becomes a warning if a line of a known tool reports an error."""
    reading = read_words(mail.subject if subject is None else subject, mail.text, names=mail.names)
    if reading.meaning is Meaning.SUCCESS and (errors := find_log_errors(mail.text)) is not None:
        return Reading(Meaning.WARNING, errors.line[:200], "a line of the log reports an error")
    if reading.meaning in (Meaning.SUCCESS, Meaning.UNCLEAR) and mail.other_html:
        # The parts should say the same. Where they do not, trouble wins.
        other = read_words("", mail.other_text, names=mail.names)
        if other.meaning in (Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED):
            return other
    return reading


_VEEAM_OUTCOMES = {"success": "success", "warning": "warning", "failed": "failure"}
# How many machines failed or had warnings: in the body next to a label or below it, and at the end of a part of the subject.
_VEEAM_COUNTS = re.compile(
    r"\b(?:(?:Error|Failed)(?:[ \t:]{1,8}|[ \t]{0,8}\n[ \t]{0,8})|Warning(?P<warning>[ \t:]{1,8}|[ \t]{0,8}\n[ \t]{0,8}))[1-9]\d{0,8}\b"
    r"|\b[1-9]\d{0,8} (?:failed|errors?|(?P<warnings>warnings?))(?=[ \t]?[,;.)]|$)",
    re.MULTILINE,
)


def _read_veeam(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    reason = re.search(r"(?:Error|Warning): [^\n]{1,500}", mail.text[:_HEAD])
    outcome, message = _VEEAM_OUTCOMES[subject["outcome"].lower()], reason[0] if reason else None
    if outcome == "success":  # forwarded mails and subjects of people may hold the result of another run
        counts = list(_VEEAM_COUNTS.finditer(f"{mail.plain_subject}\n{mail.text[:_HEAD]}"))
        failed = [count for count in counts if count.lastgroup is None]
        if counts:
            outcome = "failure" if failed else "warning"
            message = message or " ".join((failed or counts)[0][0].split())
    return make_mail_event("veeam", mail, subject["job"], outcome=outcome, message=message)


_BACULA_REASON = re.compile(r"\b((?:Fatal error|Error): [^\n]{1,500})")


def _read_bacula(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    fields = dict(re.findall(r"^ {1,6}([A-Za-z][A-Za-z /]{1,40}): {1,40}([^\n]{1,300})", mail.text, re.MULTILINE))
    outcome = _bacula_outcome(subject["outcome"])
    reason = None
    if outcome == "success":
        outcome, reason = _weigh_bacula(fields, mail)
    name = re.match(r"(.{1,200}?)\.\d{4}-\d\d-\d\d_", fields.get("Job", ""))
    if outcome == "failure" and reason is None:
        reasons = _BACULA_REASON.findall(mail.text[:_HEAD])
        reason = next((one for one in reasons if one.startswith("Fatal")), reasons[0] if reasons else None)
    return make_mail_event(
        subject["tool"].lower(),
        mail,
        name[1] if name else subject["client"],
        outcome=outcome,
        activity={"restore": "restore", "verify": "verify"}.get(subject["what"].lower(), "backup"),
        host=subject["client"],
        run=fields.get("JobId"),
        metrics={
            "files_processed": _parse_amount(fields.get("FD Files Written")),
            "bytes_processed": _parse_amount(fields.get("FD Bytes Written")),
            "bytes_stored": _parse_amount(fields.get("SD Bytes Written")),
        },
        message=reason or fields.get("Termination"),
    )


# The subject says success only where it begins with OK. The report says trouble in one of these words: of jobs that copied nothing it
# says neither OK nor trouble.
_BACULA_TROUBLE = (
    (re.compile(r"\b(?:not|errors?|fatal|failed|incomplete|differences|inappropriate)\b"), "failure"),
    (re.compile(r"\bcancel"), "cancelled"),
    (re.compile(r"warning"), "warning"),
)


def _bacula_trouble(status: str) -> str | None:
    words = status.lower()
    return next((outcome for pattern, outcome in _BACULA_TROUBLE if pattern.search(words)), None)


def _bacula_outcome(status: str) -> str:
    return _bacula_trouble(status) or ("success" if status.lower().startswith("ok") else "failure")


def _weigh_bacula(fields: Mapping[str, str], mail: ReceivedMail) -> tuple[str, str | None]:
    """Return what the report says under a subject of success, which may have been written by hand, and why it is no success."""
    termination = fields.get("Termination")
    if termination is not None and (outcome := _bacula_trouble(termination)) is not None:
        return outcome, termination
    if (errors := find_log_errors(mail.text)) is not None:
        return "warning", errors.line[:200]
    is_full = fields.get("Backup Level", "").startswith("Full")  # any other run may find nothing that is new
    if is_full and _parse_amount(fields.get("FD Files Written")) == 0:
        return "warning", "no files were written"
    return "success", None


def _parse_amount(text: str | None) -> float | None:
    found = None if text is None else re.match(r"[\d,]{1,30}", text)
    return None if found is None else parse_number(found[0].replace(",", ""))


def _read_cron(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    """Read a mail of cron: by its body, because its subject is a command, whose words mean nothing."""
    host, user = subject["host"] or "", subject["user"]
    failed = _CRON_FAILED.search(subject["command"])
    command = subject["command"][: failed.start()] if failed else subject["command"]
    where = f"{user}@{host}" if host else user
    outcome = "failure" if failed else None
    reading = read_mail_words(mail, subject="")
    return make_mail_event(
        "cron", mail, f"{command.strip()} ({where})", outcome=outcome, reading=reading, host=host or None
    )


def _read_systemd_cron(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    job = f"{subject['command']} ({subject['user']}@{subject['host']})"
    return make_mail_event("cron", mail, job, outcome="failure", host=subject["host"])


def _read_nakivo(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    outcome, reading = _weigh(labelled.outcome_of_status(subject["status"]), mail)
    return make_mail_event("nakivo", mail, subject["job"], outcome=outcome, reading=reading)


def _read_synology(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    return make_mail_event("synology", mail, subject["job"], reading=read_mail_words(mail))


def _read_asigra(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    """Read a notice of DS-Client in its subject: `Backup set NAME did not start`."""
    report = labelled.read_labels(mail)
    outcome, reading = _weigh(labelled.outcome_of_status(subject["status"]), mail)
    job, host = (report.job or subject["job"], report.host) if report else (subject["job"], None)
    return make_mail_event("asigra", mail, job, outcome=outcome, reading=reading, host=host)


def _read_kopia(mail: ReceivedMail, request: ToolRequest) -> Sequence[WireEvent]:
    body = (mail.html or mail.text).encode("utf-8", "replace")
    return [
        {**event, "job": _name_job_of_host(str(event["job"]), str(event["agent"]), mail)}
        if event.get("agent") and event.get("job") and mail.job is None
        else event
        for event in kopia.read(replace(request, headers={"subject": mail.plain_subject}, body=body))
    ]


def _name_job_of_host(job: str, host: str | None, mail: ReceivedMail) -> str:
    """Return the job's name, with its host if the key belongs to another agent: a server may report jobs of the same name for many hosts."""
    is_of_other = host is not None and mail.agent is not None and host.lower() != mail.agent.lower()
    return f"{job} on {host}" if is_of_other else job


_DUPLICATI_TITLE = re.compile(r"Duplicati \w{1,30} report for (?P<job>.{1,300})$")
_DUPLICATI_FIELDS = re.compile(r"^(?:ParsedResult|MainOperation|BackendStatistics|DeletedFiles): ", re.MULTILINE)
_DUPLICATI_NAMED = re.compile(r"^(?:backup-name|Backup): ?\S|\"backup-name\"", re.MULTILINE)


def _is_duplicati(mail: ReceivedMail) -> bool:
    head = mail.text.lstrip()[:_HEAD]
    if _DUPLICATI_TITLE.match(mail.plain_subject):
        return True
    is_json = head.startswith("{") and '"ParsedResult"' in head and ('"Data"' in head or '"Extra"' in head)
    return is_json or len(set(_DUPLICATI_FIELDS.findall(head))) > 1


def _read_duplicati(mail: ReceivedMail) -> WireEvent:
    """Read Duplicati's report by its body; under a subject that was customised, the job is what remains of the subject."""
    job = mail.job
    is_named = _DUPLICATI_TITLE.match(mail.plain_subject) or _DUPLICATI_NAMED.search(mail.text[:_HEAD])
    if job is None and not is_named:
        job = name_job(re.sub(r"(?i)\bduplicati\b|\bbackup report\b", " ", mail.subject)) or None
    source = duplicati.ReportSource(agent=None, job=job, at=mail.at, key=mail.key)
    return duplicati.read_report(mail.text, source, mail.plain_subject)


_WINDOWS_SERVER_BACKUP = re.compile(
    r"\bThe backup operation (?:that started at .{1,60}? (?:has|was) |successfully completed|stopped before completing|attempted at )"
    r"|\bMicrosoft-Windows-Backup\b|\bwbadmin (?:\d\.\d|start backup)",
    re.IGNORECASE,
)


def _read_labelled(mail: ReceivedMail, report: labelled.LabelledReport) -> WireEvent:
    job = _name_job_of_host(report.job or name_job(mail.subject), report.host, mail)
    outcome, reading = _weigh(report.outcome, mail)
    return make_mail_event(report.tool, mail, job, outcome=outcome, reading=reading, host=report.host)


def _weigh(outcome: str | None, mail: ReceivedMail) -> tuple[str | None, Reading]:
    """Return the outcome of a status field, and what the words say. If the field says success and the words report trouble, trouble counts."""
    reading = read_mail_words(mail)
    disagrees = outcome == "success" and reading.meaning in (Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED)
    return (None if disagrees else outcome), reading


# What newer cronie appends to the command.
_CRON_FAILED = re.compile(r" \((?:failed|exit(?:ed)?)\b[^()]{0,60}\)$", re.IGNORECASE)
_SUBJECTS: Sequence[tuple[re.Pattern[str], Callable[[ReceivedMail, re.Match[str]], WireEvent]]] = [
    (
        re.compile(r"\[(?P<outcome>Success|Warning|Failed)\] (?P<job>.{1,300}?)(?: \(\d{1,9} \w{1,20}\).*)?$"),
        _read_veeam,
    ),
    (
        re.compile(r"(?:Veeam:? )?(?:Backup )?Job (?P<job>.{1,300}?) completed: (?P<outcome>Success|Warning|Failed)$"),
        _read_veeam,
    ),
    (
        re.compile(
            r"(?P<tool>Bacula|Bareos): (?P<what>\w{1,20}) "
            r"(?P<outcome>OK(?: -- with warnings)?|Error|Fatal Error|Canceled|Cancelled|[A-Za-z -]{1,40}?) "
            r"of (?P<client>\S{1,200})"
        ),
        _read_bacula,
    ),
    (re.compile(r"Cron <(?P<user>[^@<>\s]{1,100})(?:@(?P<host>[^<>\s]{1,253}))?> (?P<command>.{1,900})$"), _read_cron),
    (
        re.compile(r"\[(?P<host>[^\]\s]{1,253})\] Failure: (?P<user>\S{1,100})'s crontab \"(?P<command>.{1,900})\"$"),
        _read_systemd_cron,
    ),
    (re.compile(r"\"(?P<job>[^\"]{1,300})\" job: (?P<status>[A-Za-z ]{1,40})$"), _read_nakivo),
    (
        re.compile(
            r"(?i)(?:asigra:? |ds-client:? )?backup set \"?(?P<job>[^\"]{1,200}?)\"?:? (?:has |was )?"
            r"(?P<status>did not start|not started|completed(?: successfully| with (?:errors|warnings))?|failed|stopped(?: by user)?)\.?$"
        ),
        _read_asigra,
    ),
    (
        re.compile(
            r".{0,200}?[Bb]ackup task \[?(?P<job>[^\]]{1,200}?)\]? "
            r"(?P<rest>on .{1,300}|has .{1,300}|was .{1,300}|is .{1,300}|failed.{0,200}|(?:partially )?completed.{0,200})$"
        ),
        _read_synology,
    ),
]
