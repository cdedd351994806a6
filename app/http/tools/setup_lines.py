"""What a person copies into each tool so that it reports to us: one row for each tool.

In a line, `<url>` is our address, `<host>` the same without its scheme, `<key>` and `<job>` the key and the job as they are written
in a URL. `example` is a line for a shell that reports a failure, so that the person who tries it gets an alert.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from app.domain.key import KeyForm

_WORD = re.compile(r"<(url|host|tls|key|job|slug|mail_host|mail_port)>")


@dataclass(frozen=True, slots=True)
class ToolSetup:
    """The lines of one tool. `page` is its page in docs/. `names_job`: whether the tool names the job itself; otherwise the key must."""

    tool: str
    title: str
    page: str
    form: KeyForm
    names_job: bool
    lines: tuple[str, ...]
    example: str


@dataclass(frozen=True, slots=True)
class SetupValues:
    """The values for the placeholders in a line. A placeholder without a value stays, for a person to fill in."""

    url: str
    key: str | None = None
    job: str | None = None
    mail_port: int | None = None


def fill_in(text: str, values: SetupValues) -> str:
    """Replace the placeholders of a line. Values are percent-encoded, so that no job's name can become a word of a shell."""
    url = urlsplit(values.url)
    words: Mapping[str, str | None] = {
        "url": values.url.rstrip("/"),
        "host": url.netloc + url.path.rstrip("/"),
        "tls": "s" if url.scheme == "https" else "",
        "key": None if values.key is None else quote(values.key, safe=""),
        "job": None if values.job is None else quote(values.job, safe=""),
        "slug": None if values.job is None else re.sub(r"[^a-z0-9_-]+", "-", values.job.lower()).strip("-") or "backup",
        "mail_host": url.hostname,
        "mail_port": None if values.mail_port is None else str(values.mail_port),
    }
    return _WORD.sub(lambda found: words[found[1]] or ("" if found[1] == "tls" else found[0]), text)


_UUID, _TOKEN = KeyForm.UUID, KeyForm.TOKEN
_BY_TOOL, _BY_KEY = True, False  # who names the job
_CURL = "curl -fsS"
_JSON = "-H 'Content-Type: application/json'"
TOOL_SETUPS: tuple[ToolSetup, ...] = (
    ToolSetup(
        "tocsin-report", "tocsin-report: one word in front of a command", "docs/tools/tocsin-report.md", KeyForm.TOCSIN, _BY_TOOL,
        (
            "curl -fsS -o /usr/local/bin/tocsin-report <url>/downloads/tocsin-report.pyz && chmod 755 /usr/local/bin/tocsin-report",
            "(umask 077; echo '<key>' > /etc/tocsin-report.key)",
            r"printf '%s\n' 'url = <url>' 'key_file = /etc/tocsin-report.key' > /etc/tocsin-report.conf",
            "tocsin-report run --job <slug> -- restic backup --json /srv",
        ),
        f"""{_CURL} <url>/v1/events -H 'Authorization: Bearer <key>' {_JSON} -d '{{"job": "<slug>", "outcome": "failure"}}'""",
    ),
    ToolSetup(
        "curl", "curl, and anything else that can send an HTTP request", "docs/agents.md", KeyForm.TOCSIN, _BY_TOOL,
        (f"""{_CURL} <url>/v1/events -H 'Authorization: Bearer <key>' {_JSON} -d '{{"job": "<slug>", "outcome": "success"}}'""",),
        f"""{_CURL} <url>/v1/events -H 'Authorization: Bearer <key>' {_JSON} -d '{{"job": "<slug>", "outcome": "failure"}}'""",
    ),
    ToolSetup(
        "healthchecks", "Healthchecks pings (borgmatic, runitor, cron)", "docs/tools/healthchecks.md", _UUID, _BY_KEY,
        (
            "<url>/ping/<key>",
            # Piped, for a word of a command may have 128 KiB at most. In a crontab, `%` ends the command unless it is escaped.
            r"""0 2 * * *  out=$(/usr/local/bin/backup.sh 2>&1); code=$?; printf '\%s' "$out" | curl -fsS -m 10 --retry 5 --data-binary @- <url>/ping/<key>/$code""",
        ),
        f"{_CURL} <url>/ping/<key>/fail",
    ),
    ToolSetup(
        "healthchecks-slug", "Healthchecks pings by a slug, one key for a host", "docs/tools/healthchecks.md", _TOKEN, _BY_TOOL,
        ("<url>/ping/<key>/<slug>",),
        f"{_CURL} <url>/ping/<key>/<slug>/fail",
    ),
    ToolSetup(
        "uptime-kuma", "Uptime Kuma push", "docs/tools/uptime-kuma.md", _TOKEN, _BY_KEY,
        ("<url>/api/push/<key>",),
        f"{_CURL} '<url>/api/push/<key>?status=down&msg=a+test'",
    ),
    ToolSetup(
        "cronitor", "Cronitor telemetry", "docs/tools/cronitor.md", _TOKEN, _BY_TOOL,
        (f"{_CURL} '<url>/p/<key>/<slug>?state=run'", f"{_CURL} '<url>/p/<key>/<slug>?state=complete'"),
        f"{_CURL} '<url>/p/<key>/<slug>?state=fail'",
    ),
    ToolSetup(
        "cronhub", "Cronhub pings", "docs/tools/cronhub.md", _UUID, _BY_KEY,
        ("<url>/start/<key>", "<url>/finish/<key>", "<url>/fail/<key>"),
        f"{_CURL} <url>/fail/<key>",
    ),
    ToolSetup(
        "sentry", "Sentry cron monitors (borgmatic)", "docs/tools/borgmatic.md", _TOKEN, _BY_TOOL,
        ("data_source_name_url: http<tls>://<key>@<host>/1", "monitor_slug: <slug>"),
        f"{_CURL} '<url>/api/1/cron/<slug>/<key>/?status=error'",
    ),
    ToolSetup(
        "zabbix", "Zabbix history.push (borgmatic)", "docs/tools/borgmatic.md", _TOKEN, _BY_KEY,
        ("server: <url>/in/zabbix/<key>/api_jsonrpc.php", "itemid: 1", "api_key: any"),
        f"""{_CURL} <url>/in/zabbix/<key>/api_jsonrpc.php {_JSON} -d '{{"jsonrpc": "2.0", "method": "history.push", "params": {{"itemid": 1, "value": "ERROR"}}, "id": 1}}'""",
    ),
    ToolSetup(
        "loki", "Loki push (borgmatic)", "docs/tools/borgmatic.md", _TOKEN, _BY_KEY,
        ("url: <url>/in/loki/<key>/loki/api/v1/push",),
        f"""{_CURL} <url>/in/loki/<key>/loki/api/v1/push {_JSON} -d '{{"streams": [{{"stream": {{"app": "test"}}, "values": [["'$(date +%s)'000000000", "Failed backup"]]}}]}}'""",
    ),
    ToolSetup(
        "pagerduty", "PagerDuty events, where the address can be changed", "docs/tools/borgmatic.md", _TOKEN, _BY_KEY,
        ("<url>/in/pagerduty/<key>",),
        f"""{_CURL} <url>/in/pagerduty/<key> {_JSON} -d '{{"event_action": "trigger", "payload": {{"summary": "a test", "severity": "error"}}}}'""",
    ),
    ToolSetup(
        "pushover", "Pushover messages, where the address can be changed", "docs/tools/borgmatic.md", _TOKEN, _BY_KEY,
        ("<url>/in/pushover/<key>",),
        f"{_CURL} <url>/in/pushover/<key> -d 'title=Backup failed' -d 'message=a test'",
    ),
    ToolSetup(
        "proxmox", "Proxmox VE and Backup Server, by a webhook", "docs/tools/proxmox.md", _TOKEN, _BY_TOOL,
        (
            "Method POST, URL <url>/in/proxmox/<key>",
            "Header Content-Type: application/json",
            'Body {"title":"{{escape title}}","message":"{{escape message}}","severity":"{{severity}}","timestamp":{{timestamp}},"fields":{{json fields}}}',
        ),
        f"""{_CURL} <url>/in/proxmox/<key> {_JSON} -d '{{"title": "vzdump backup status (pve1): backup failed", "message": "a test", "severity": "error"}}'""",
    ),
    ToolSetup(
        "gotify", "Gotify (Proxmox, Backrest)", "docs/tools/proxmox.md", _TOKEN, _BY_TOOL,
        ("Server <url>", "Token <key>"),
        f"""{_CURL} <url>/message -H 'X-Gotify-Key: <key>' {_JSON} -d '{{"title": "Backup failed", "message": "a test", "priority": 9}}'""",
    ),
    ToolSetup(
        "duplicati", "Duplicati", "docs/tools/duplicati.md", _TOKEN, _BY_TOOL,
        ("--send-http-json-urls=<url>/in/duplicati/<key>", "--send-http-any-operation=true"),
        f"""{_CURL} <url>/in/duplicati/<key> --data-binary '{{"Data": {{"ParsedResult": "Error", "MainOperation": "Backup"}}, "Extra": {{"backup-name": "<slug>"}}, "LogLines": ["[Error-x]: a test"]}}'""",
    ),
    ToolSetup(
        "kopia", "Kopia", "docs/tools/kopia.md", _TOKEN, _BY_TOOL,
        (
            "kopia notification profile configure webhook --profile-name=tocsin --endpoint=<url>/in/kopia/<key> --method=POST --format=txt --min-severity=report",
        ),
        rf"""printf 'Path: /srv\n\n  Status:      fatal\n  Error:       a test\n' | {_CURL} <url>/in/kopia/<key> -H 'Subject: Failed to create a snapshot of /srv on a host' --data-binary @-""",
    ),
    ToolSetup(
        "backrest", "Backrest, by its Slack or Discord hook", "docs/tools/backrest.md", _TOKEN, _BY_TOOL,
        ("Webhook URL <url>/in/backrest/<key>",),
        rf"""printf 'Backrest Error\nTask: backup for plan "<slug>" at 2026-01-31T02:00:00Z\nEvent: snapshot error\nError: a test\n' | {_CURL} <url>/in/backrest/<key> --data-binary @-""",
    ),
    ToolSetup(
        "restic", "restic, with what it printed", "docs/tools/restic.md", _TOKEN, _BY_TOOL,
        (
            "export RESTIC_PROGRESS_FPS=0.01",
            "out=$(restic backup --json /srv 2>&1); code=$?",
            r"""printf '%s\n' "$out" | curl -fsS -m 10 --retry 5 --data-binary @- "<url>/in/restic/<key>?job=<job>&exit_code=$code" """.strip(),
        ),
        f"{_CURL} '<url>/in/restic/<key>?job=<job>&exit_code=12' -d ''",
    ),
    ToolSetup(
        "borg", "borg, with what it printed", "docs/tools/borg.md", _TOKEN, _BY_TOOL,
        (
            "out=$(borg --log-json create --json --list --filter E /repo::'{hostname}-{now}' /srv 2>&1); code=$?",
            r"""printf '%s\n' "$out" | curl -fsS -m 10 --retry 5 --data-binary @- "<url>/in/borg/<key>?job=<job>&exit_code=$code" """.strip(),
        ),
        f"{_CURL} '<url>/in/borg/<key>?job=<job>&exit_code=2' -d ''",
    ),
    ToolSetup(
        "resticprofile", "resticprofile's HTTP hooks", "docs/tools/resticprofile.md", _TOKEN, _BY_TOOL,
        (
            'send-before: {method: HEAD, url: "<url>/in/resticprofile/<key>/start?profile=${PROFILE_NAME}&command=${PROFILE_COMMAND}"}',
            'send-after: {method: POST, url: "<url>/in/resticprofile/<key>?profile=${PROFILE_NAME}&command=${PROFILE_COMMAND}", body-template: stdout.txt}',
            r'send-after-fail: {method: POST, url: "<url>/in/resticprofile/<key>/fail?profile=${PROFILE_NAME}&command=${PROFILE_COMMAND}&exit_code=${ERROR_EXIT_CODE}", body: "${ERROR}\n\n${ERROR_STDERR}"}',
        ),
        f"{_CURL} '<url>/in/resticprofile/<key>/fail?profile=<job>&exit_code=12' -d ''",
    ),
    ToolSetup(
        "cloudevents", "CloudEvents 1.0", "docs/tools/cloudevents.md", _TOKEN, _BY_TOOL,
        ("<url>/in/cloudevents/<key>",),
        f"""{_CURL} <url>/in/cloudevents/<key> -H 'Content-Type: application/cloudevents+json' -d '{{"specversion": "1.0", "id": "'$(date +%s)'", "source": "/test", "type": "org.example.backup.failed", "subject": "<slug>"}}'""",
    ),
    ToolSetup(
        "alertmanager", "Alertmanager and Grafana's alerting", "docs/tools/alertmanager.md", _TOKEN, _BY_TOOL,
        ("url: <url>/in/alertmanager/<key>", "send_resolved: true"),
        f"""{_CURL} <url>/in/alertmanager/<key> -d '{{"status": "firing", "alerts": [{{"status": "firing", "labels": {{"alertname": "Test"}}}}]}}'""",
    ),
    ToolSetup(
        "apprise", "Apprise", "docs/tools/apprise.md", _TOKEN, _BY_KEY,
        ("json<tls>://<host>/in/apprise/<key>",),
        f"""{_CURL} <url>/in/apprise/<key> {_JSON} -d '{{"version": "1.0", "title": "Backup failed", "message": "a test", "type": "failure"}}'""",
    ),
    ToolSetup(
        "ntfy", "ntfy", "docs/tools/ntfy.md", _TOKEN, _BY_TOOL,
        ("server: <url>/in/ntfy/<key>", "topic: <slug>"),
        f"{_CURL} -H 'Title: Backup failed' -d 'a test' <url>/in/ntfy/<key>/<slug>",
    ),
    ToolSetup(
        "synology", "Synology DSM's custom webhook", "docs/tools/synology.md", _TOKEN, _BY_TOOL,
        ("Provider: Custom, webhook URL <url>/in/synology/<key>", "HTTP method: POST", "Parameter: text, with the message's content"),
        f"{_CURL} <url>/in/synology/<key> -d 'text=Backup task [<slug>] on NAS01 has failed'",
    ),
    ToolSetup(
        "mail", "Tools that can only send mail (Veeam, Bacula, Synology ...)", "docs/tools/mail.md", _UUID, _BY_TOOL,
        ("SMTP server <mail_host>, port <mail_port>, no login", "Recipient <key>@tocsin"),
        "swaks --server <mail_host>:<mail_port> --to <key>@tocsin --header 'Subject: [Failed] <slug>' --body 'a test'",
    ),
)  # fmt: skip
