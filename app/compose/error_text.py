"""Reads the error text of a backup: the one line that says what went wrong, and a short hint on what to try. Pure.

The hints know the error texts of restic, Borg, rclone, Duplicati, duplicity, Kopia, Proxmox and Windows. The first pattern that
matches wins, so specific ones come first. Patterns are simple alternations, so that no text can keep a worker busy.
"""

import re

from app.compose import phrases
from app.domain.alert import AlertKind
from app.domain.mail_views import AlertView

_ = str  # marks texts for the catalogs of the pages; mails show them in English
_LIMIT = 500
_ERROR = re.compile(r"\b(fatal|error|failed|failure|denied|cannot|unable|no space)\b", re.IGNORECASE)
_NO_ERROR = re.compile(r"\b(0|no|without) (errors?|failures?|failed)\b", re.IGNORECASE)
# Timestamps and words at the start that the state in the subject says already: "2026-11-24 02:10:03 [ERROR] Fatal: ".
_PREFIX = re.compile(
    r"^(?:[\d:.,/TZ+-]{8,}\s+){0,3}(?:\[?(?:fatal|error|critical|failed|warning|warn)\]?\s*[:!]\s*|\[(?:fatal|error|warning)\]\s+){1,3}",
    re.IGNORECASE,
)
_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"^the canary mail of .* was lost:",
        _(
            "Look for it in the log of the mail server, by the answer above, and in the spam folder of the mailbox of TOCSIN_BOUNCE_ADDRESS;"
            " run `tocsin doctor`. Another one is sent each hour, or now by POST /v1/canaries:send. The first one that arrives closes this alert."
        ),
    ),
    (
        r"already locked|create lock in backend|acquire the lock|repository is locked|lock\.exclusive|failed to lock",
        _(
            "Another run holds the repository's lock, or a run that crashed did not remove it. Make sure that no run is active on"
            " any host, then remove the stale lock (restic unlock, borg break-lock) and start the job again."
        ),
    ),
    (
        r"permission denied \(publickey|host key verification failed|remote host identification has changed",
        _(
            "The SSH login failed before the backup began. Log in manually as the user that runs the job, and check its"
            " key and known_hosts."
        ),
    ),
    (
        r"wrong password|no key found|passphrase supplied|incorrect pass|resolving password failed|invalid repository password",
        _(
            "The repository's password is missing or wrong. Check the password file or variable that the job uses. Do not"
            " create a new repository: the old backups can only be read with the old password."
        ),
    ),
    (
        (
            r"no space left|disk (is )?full|insufficient storage|not enough (free |disk )?space|remaining disk space|enospc"
            r"|storage \S+ is full|quota exceeded|over quota"
        ),
        _(
            "The target is full. Free space there or enlarge it, check that old backups are still pruned, then start the job again."
        ),
    ),
    (
        r"checksum mismatch|contains errors|ciphertext verification|integrity|corrupt|damaged|invalid data returned",
        _(
            "Stored data may be damaged. Run a check of the repository (restic check, borg check) and look at the target's"
            " disks before anything is pruned: you may need an older backup."
        ),
    ),
    (
        r"certificate|x509|tls handshake|ssl error",
        _("The TLS certificate was not accepted. Check its expiry date, its name and the clock of this host."),
    ),
    (
        r"could not resolve|no such host|name or service not known|name resolution|getaddrinfo",
        _(
            "The target's name could not be resolved. Check the host's DNS and network, then the spelling of the address."
        ),
    ),
    (
        (
            r"connection (was )?(refused|reset|timed out|closed)|timed out|timeout|no route to host|network is unreachable"
            r"|can't connect|could not connect|unexpected eof|broken pipe|unreachable"
        ),
        _(
            "The target could not be reached. Check that it is running and that network, firewall and VPN let this host"
            " connect, then start the job again."
        ),
    ),
    (
        r"\b401\b|\b403\b|unauthori[sz]ed(?!access)|invalid credentials|authentication failed|login failed|access key|token .{0,20}expired",
        _("The target refused the login. Check whether the password, key or token of the job has changed or expired."),
    ),
    (
        r"permission denied|access is denied|access to the path|unauthorizedaccess|operation not permitted|eacces",
        _(
            "The user that runs the job may not read a file or write to the target. Check owner and permissions of the path"
            " that the log names, or run the job as another user."
        ),
    ),
    (
        r"repository does not exist|not a valid repository|unable to open config|unable to open repository|no such repository",
        _(
            "The repository is not where the job looks for it. Check that the target is mounted and the path is right. Do not"
            " create a new repository until you know where the old one is."
        ),
    ),
    (
        r"vss|shadow copy|volume snapshot",
        _(
            "The Windows shadow copy failed. Check `vssadmin list writers` and the free space for shadow copies; a restart of"
            " the host often helps."
        ),
    ),
    (
        r"read-only file system|input/output error|i/o error",
        _(
            "A disk reported an error. First check the host's kernel log and the disks' SMART values: often a disk is"
            " about to fail."
        ),
    ),
    (
        r"out of memory|cannot allocate memory|signal: killed|oom[- ]kill",
        _("The run had not enough memory. Free some on the host, or run the job when the host is less busy."),
    ),
    (
        r"no such file or directory|directory not found|path not found|do(es)? not exist|no such directory",
        _(
            "A file or folder of the job does not exist. Check that the disk or share is mounted and that the paths in the"
            " job are still right."
        ),
    ),
    (
        r"used by another process|sharing violation|file changed|changed while",
        _(
            "Files were in use while they were read. Run the job when the host is less busy, or from a snapshot of the disk."
        ),
    ),
    (
        r"context canceled|interrupted|sigterm|signal: terminated|aborted",
        _(
            "The run was stopped by a person, a shutdown or a time limit. If nobody did that on purpose, start it again."
        ),
    ),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), hint) for pattern, hint in _KNOWN)

# Only such lines of a log are matched: "integrity check: passed" is not damage.
_TROUBLE_LINE = re.compile(
    r"error|fail|fatal|denied|cannot|unable|no space|refused|lock|exception|abort|warn|timed out", re.IGNORECASE
)

_BY_KIND = {
    AlertKind.FAILED: _(
        "Read the end of the log, fix the cause and start the job manually. The next successful run closes this alert."
    ),
    AlertKind.WARNING: _(
        "The backup was made, but it is incomplete. Read in the log what was left out, and fix or exclude it. The"
        " next run without warnings closes this alert."
    ),
    AlertKind.MISSED: _(
        "Check that the host is on and that its scheduler (cron, systemd timer, Task Scheduler) started the job. If"
        " the job did run, its report did not arrive: start it once manually. If its schedule has changed, change the job's expectation."
    ),
    AlertKind.OVERRUN: _(
        "Check whether the run makes progress or waits for something: a lock, a slow network, a prompt. If it is"
        " only slow, increase the job's longest duration. If it can never end, for example because its host was switched off, close this"
        " alert."
    ),
    AlertKind.AGENT_SILENT: _(
        "Check that the host is on, that it has a network connection and that its agent runs. Until the agent"
        " reports again, nobody knows whether its backups are made."
    ),
    AlertKind.UNCLEAR: _(
        "Check in the tool or in its log whether the run succeeded. Then run one of the two commands below, on a computer"
        " where ADMIN_KEY is set to an administrator's key. This can wait: until then, nothing is lost. Later texts of the same form get"
        " the same answer."
    ),
    AlertKind.CLOCK_OFF: _(
        "Set the clock of the host and turn on time synchronization (NTP). Until then, Tocsin corrects the times of"
        " reports that contain `sent_at`; without it, a failure that seems older than a success still opens an alert. This alert closes"
        " when the reports have shown no wrong time for 24 hours."
    ),
}


def error_line(view: AlertView) -> str:
    """Return the error as one line: from the alert's message, else from the log. For a recovered alert, the former error. May be empty."""
    log = phrases.tail(view.log_tail or "", 20, 2048)
    return best_line(view.alert.message or "") or _shown(_first_error(list(reversed(log))))


def best_line(message: str) -> str:
    """Return the line of a message that says what went wrong, else its first line; empty if there is none."""
    lines = [line for line in phrases.plain(message[:4000]).split("\n") if line.strip()]
    return _shown(_first_error(lines) or (lines[0] if lines else ""))


def _first_error(lines: list[str]) -> str:
    return next((line for line in lines if _ERROR.search(line[:_LIMIT]) and not _NO_ERROR.search(line[:_LIMIT])), "")


def _shown(found: str) -> str:
    line = phrases.one_line(found, _LIMIT)
    return _PREFIX.sub("", line) or line


def hint_for(kind: AlertKind, message: str | None, log: tuple[str, ...]) -> str:
    """Return the hint for the error message, else for the newest known line of the log, else for the kind of alert."""
    if kind in (AlertKind.FAILED, AlertKind.WARNING):
        for line in ((message or "")[:500], *(line for line in reversed(log) if _TROUBLE_LINE.search(line))):
            for pattern, hint in _PATTERNS:
                if pattern.search(line):
                    return hint
    return _BY_KIND[kind]
