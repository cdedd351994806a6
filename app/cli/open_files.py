"""How many files the process may open, as each connection takes one: without a free one, the database cannot be opened either."""

import resource

from app.core.log import log
from app.core.settings import Settings

KEPT = 250  # for the database, connections to mail servers and webhooks, logs
_FEWEST = 20


def fit_connections(settings: Settings) -> Settings:
    """Raise the soft limit of open files as far as the connections need; where that is not enough, return settings with fewer connections."""
    mail = 0 if settings.mail_in_port is None else settings.mail_in_connections
    needed = settings.connections + mail + KEPT
    limit = _raise_limit(needed)
    if limit >= needed:
        return settings
    left = max(limit - KEPT, 2 * _FEWEST)
    fewer_mail = min(mail, max(left // 5, _FEWEST))
    fewer = min(settings.connections, left - fewer_mail)
    log.warning(
        "the limit of open files is too low for all connections; raise it (LimitNOFILE, ulimit -n)",
        limit=limit,
        needed=needed,
        connections=fewer,
        mail_in_connections=fewer_mail,
    )
    return settings.model_copy(
        update={"connections": fewer, "mail_in_connections": fewer_mail or settings.mail_in_connections}
    )


def _raise_limit(needed: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems allow less than they name
        return soft
    return wanted
