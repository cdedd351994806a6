"""What to try: a short practical hint for a kind of alert, and for error texts that are well known. Pure.

The texts are those of restic, Borg, rclone, Duplicati, duplicity, Kopia, Proxmox and Windows. The first that fits wins, so the
narrow ones come first. Only plain alternations: a backup's text must not be able to keep a worker busy.
"""

import re

from app.domain.alert import AlertKind

_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"already locked|create lock in backend|acquire the lock|repository is locked|lock\.exclusive|failed to lock",
        (
            "Another run holds the repository's lock, or one that died left it behind. Make sure that no other run is under"
            " way on any host, then remove the stale lock (restic unlock, borg break-lock) and start the job again."
        ),
    ),
    (
        r"permission denied \(publickey|host key verification failed|remote host identification has changed",
        (
            "The SSH login failed before the backup began. Log in once by hand as the user that runs the job, and check its"
            " key and known_hosts."
        ),
    ),
    (
        r"wrong password|no key found|passphrase supplied|incorrect pass|resolving password failed|invalid repository password",
        (
            "The repository's password is missing or wrong. Check the password file or variable that the job uses. Do not"
            " make a new repository: the old backups stay readable only with the old password."
        ),
    ),
    (
        (
            r"no space left|disk (is )?full|insufficient storage|not enough (free |disk )?space|remaining disk space|enospc"
            r"|storage \S+ is full|quota exceeded|over quota"
        ),
        "The target is full. Free space there or enlarge it, check that old backups are still pruned, then start the job again.",
    ),
    (
        r"checksum mismatch|contains errors|ciphertext verification|integrity|corrupt|damaged|invalid data returned",
        (
            "Stored data may be damaged. Run a check of the repository (restic check, borg check) and look at the target's"
            " disks before anything is pruned: an older backup may be needed."
        ),
    ),
    (
        r"certificate|x509|tls handshake|ssl error",
        "The TLS certificate was not accepted. Check when it ends, the name in it and the clock of this host.",
    ),
    (
        r"could not resolve|no such host|name or service not known|name resolution|getaddrinfo",
        "The target's name could not be resolved. Check the host's DNS and network, then the spelling of the address.",
    ),
    (
        (
            r"connection (was )?(refused|reset|timed out|closed)|timed out|timeout|no route to host|network is unreachable"
            r"|can't connect|could not connect|unexpected eof|broken pipe|unreachable"
        ),
        (
            "The target could not be reached. Check that it is up and that network, firewall and VPN let this host through,"
            " then start the job again."
        ),
    ),
    (
        r"\b401\b|\b403\b|unauthori[sz]ed(?!access)|invalid credentials|authentication failed|login failed|access key|token .{0,20}expired",
        "The target refused the login. Check whether the password, key or token of the job has changed or expired.",
    ),
    (
        r"permission denied|access is denied|access to the path|unauthorizedaccess|operation not permitted|eacces",
        (
            "The user that runs the job may not read a file or write to the target. Check owner and rights of the path that"
            " the log names, or run the job as another user."
        ),
    ),
    (
        r"repository does not exist|not a valid repository|unable to open config|unable to open repository|no such repository",
        (
            "The repository is not where the job looks for it. Check that the target is mounted and the path is right. Do not"
            " make a new repository until you know where the old one is."
        ),
    ),
    (
        r"vss|shadow copy|volume snapshot",
        (
            "The Windows shadow copy failed. Check `vssadmin list writers` and the free space for shadow copies; a restart of"
            " the host often helps."
        ),
    ),
    (
        r"read-only file system|input/output error|i/o error",
        (
            "A disk answered with an error. Look at the host's kernel log and the disks' SMART values first: this is often a"
            " disk that is dying."
        ),
    ),
    (
        r"out of memory|cannot allocate memory|signal: killed|oom[- ]kill",
        "The run ran out of memory. Free some on the host, or let the job run when less else does.",
    ),
    (
        r"no such file or directory|directory not found|path not found|do(es)? not exist|no such directory",
        (
            "Something that should be backed up is not there. Check that the disk or share is mounted and that the paths in"
            " the job are still right."
        ),
    ),
    (
        r"used by another process|sharing violation|file changed|changed while",
        "Files were in use while they were read. Let the job run at a quieter time or from a snapshot of the disk.",
    ),
    (
        r"context canceled|interrupted|sigterm|signal: terminated|aborted",
        "The run was broken off, by a person, a shutdown or a time limit. If nobody did so on purpose, start it again.",
    ),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), hint) for pattern, hint in _KNOWN)

# Only such lines of a log are asked: "integrity check: passed" is no damage.
_BAD_LINE = re.compile(
    r"error|fail|fatal|denied|cannot|unable|no space|refused|lock|exception|abort|warn|timed out", re.IGNORECASE
)

_BY_KIND = {
    AlertKind.FAILED: "Read the end of the log, mend the cause and start the job once by hand. The next good run closes this alert by itself.",
    AlertKind.WARNING: "The backup was made, but not all of it. Read in the log what was left out, and mend or exclude it. The next"
    " run without warnings closes this alert by itself.",
    AlertKind.MISSED: "Check that the host is on and that its scheduler (cron, systemd timer, Task Scheduler) started the job. If"
    " the job did run, its report did not reach us: start it once by hand. If its hours have changed, change the job's expectation.",
    AlertKind.OVERRUN: "Check whether the run still moves or waits for something: a lock, a slow network, a question that nobody"
    " answers. If it is only slow, raise the job's longest duration.",
    AlertKind.AGENT_SILENT: "Check that the host is on, has a network and that its agent runs. Until it is heard again, nobody"
    " knows whether its backups are made.",
}


def hint_for(kind: AlertKind, message: str | None, log: tuple[str, ...]) -> str:
    """Give the hint: by the error, else by the log's newest line that is well known, else by kind."""
    if kind in (AlertKind.FAILED, AlertKind.WARNING):
        for line in ((message or "")[:500], *(line for line in reversed(log) if _BAD_LINE.search(line))):
            for pattern, hint in _PATTERNS:
                if pattern.search(line):
                    return hint
    return _BY_KIND[kind]
