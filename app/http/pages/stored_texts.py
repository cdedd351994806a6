"""The texts that are stored in English, in the reader's language: reasons of alerts and notices, why a message was not sent, what Tocsin
itself reports.

They are English in the API, in mails and in the log. A part that is not here is shown as it is, marked as English: most of those are
the words of a server.
"""

import re
from gettext import NullTranslations

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated_parts
from app.http.pages.trouble_texts import CANARIES, CREDENTIALS, DISKS, RELAYS

_ = str  # marks texts for the catalogs; they are translated when they are shown

_OUTCOMES = (
    _("success"),
    _("failure"),
    _("warning"),
    _("cancelled"),
    _("unclear"),
    _("missed"),
    _("overrun"),
    _("superseded"),
)
_ALERTS = (
    _("a failure"),
    _("a run with warnings"),
    _("a missed run"),
    _("%(nth)s failure in a row"),
    _("%(nth)s run with warnings in a row"),
    _("%(nth)s missed run in a row"),
    _("rule '%(name)s'"),
    _(
        "a failure dated %(at)s came after a run with the same or a later time, and nothing proves that it is older: the clock of its host may be behind"
    ),
    _(  # as it was stored before
        "a failure dated %(at)s came after a run with a later time, and nothing proves that it is older: the clock of its host may be behind"
    ),
    _("still running"),
    _("no report since %(at)s"),
    _("%(agent)s's clock is %(length)s behind"),
    _("%(agent)s's clock is %(length)s ahead"),
    _("its text proves neither success nor failure"),
    _("a text of this form came again, and no clear run followed"),
    _("its agent is new and waits for approval"),
)
_CLOSINGS = (
    _("with a late report there are only %(n)s in a row"),
    _("it ran"),
    _("ran with outcome %(text)s"),
    _("no run takes too long any more"),
    _("the agent reported again"),
    _("its clock is right again"),
    _("an answer or a later report shows that this run ended with outcome %(text)s"),
    _("a later run ended clearly, with outcome %(text)s"),
    _("closed by %(who)s: %(words)s"),
    _("on the dashboard"),
    _("closed: the job was deleted by %(who)s"),
    _("closed: the agent was deleted by %(who)s"),
    _("closed: the agent was rejected by %(who)s"),
    _("%(who)s expects nothing of this job"),
    _("taught: means %(text)s"),
)
_NOTICES = (
    _("route '%(name)s'"),
    _("not silenced"),
    _("no route matches"),
    _("route '%(name)s' has no recipient"),
    _("silenced until %(at)s by %(who)s (%(id)s)"),
    _("silenced until %(at)s by %(who)s: %(words)s (%(id)s)"),
    _("judged again when that ended"),
    _("its silence has ended"),
    _("it became critical"),
    _("closed before anybody was notified: %(text)s"),
    _("was reported %(at)s by route '%(name)s'"),
    _("was reported %(at)s by route '%(name)s', which sends no recoveries"),
    _("was reported %(at)s by a route that was deleted since"),
    _("was reported %(at)s by a route that was deleted since, which sends no recoveries"),
    _("a program that keeps the state of the alert was sent it"),
    _("still open"),
    _("still open after 1 day"),
    _("still open after %(n)s days"),
    _("route '%(name)s' repeats"),
    _("summary '%(name)s' up to %(at)s"),
    _("summary '%(name)s' up to %(at)s, asked for by an administrator"),
    _("notified of this alert at %(at)s"),
    _("%(who)s acknowledged it"),
    _("the recipient was deleted by %(who)s"),
    _("cannot be composed since %(at)s: %(why)s"),
    _("its recipient has no transport"),
    _("its recipient no longer exists"),
    _("its recipient has only transports that take alerts and no summaries"),
    _("the acknowledgement was undone, or the alert is closed"),
    _("its alert or summary no longer exists"),
)
_MESSAGES = (
    _("may have been sent: %(text)s"),
    _("%(n)s attempts without an answer"),
    _("given up after %(n)s attempts"),
    _("came back: %(text)s"),
    _("too late to send it by another transport"),
    _("its successor was sent by another transport before"),
    _("the recipient has no other transport"),
    _("goes by %(kind)s instead"),
    _("%(kind)s could not send it: %(text)s"),
    _("it may have arrived that way already, so this may be the second one"),
    _("by %(kind)s to %(to)s it came back: %(text)s"),
    _("sent after all: %(text)s"),
    _("its predecessor %(id)s was sent by %(kind)s after all"),
    _("given up: %(text)s"),
    _("not sent within %(length)s, after 1 attempt"),
    _("not sent within %(length)s, after 1 attempt: %(text)s"),
    _("not sent within %(length)s, after %(n)s attempts"),
    _("not sent within %(length)s, after %(n)s attempts: %(text)s"),
    _("waits: %(text)s"),
    _("it has more than %(n)s MiB, and a relay takes no more"),
    _("no relay sends for it"),
    _("retried by %(who)s"),
    _("retried by %(who)s, by %(kind)s to %(to)s: its recipient no longer has %(was)s"),
    _("lost the worker died or was cut off"),
    _("lost the relay was cut off: it neither reported what became of this nor renewed its lease"),
)
_REPORTS = (
    _("expected %(at)s and did not come"),
    _("expected %(at)s, as its tool announced, and did not come"),
    _("expected %(at)s (learned from its runs: %(habit)s; not confirmed) and did not come"),
    _("last report %(at)s"),
    _("no report so far"),
    _("running since %(at)s, longer than it should"),
    _("running since %(at)s, longer than it should: the run %(name)s has not ended"),
    _("another run of this job succeeded at %(at)s"),
    _("no report from this agent"),
    _("1 report of this agent was refused since %(at)s: %(why)s"),
    _("%(n)s reports of this agent were refused since %(at)s: %(why)s"),
)
_SERVICE = (
    _("the relay is well"),
    _("no certificate or secret for the mail system expires soon"),
    _("the disks have enough room again"),
    _("the disk of %(words)s on %(host)s has room for only %(n)s more files (inodes)"),
    _("the disk of %(words)s on %(host)s has %(free)s left, less than the limit of %(limit)s"),
    _("the database"),
    _("%(text)s. When it is full, no event can be stored. Free some space on it (docs/operate.md)"),
    _(
        "the disk of the database is full: only failures are still stored, everything else is answered with 503 disk_full. Free some space on it"
    ),
    _("everything goes on by itself then (docs/operate.md)"),
    _("everything goes on by itself then (docs/operate.md). %(text)s"),
    _(
        "Mail to %(address)s (recipient %(names)s) came back %(n)s times in a row: %(why)s. This recipient has no other transport. Correct the address."
    ),
    _(
        "Mail to %(address)s (recipient %(names)s) came back %(n)s times in a row: %(why)s. Alerts go by the recipient's other transports. Correct the address."
    ),
    _("Mail to %(address)s no longer comes back."),
    _("No recipient has %(address)s any more."),
    _("The canary mail of %(at)s by %(name)s arrived after %(n)s s."),
    _("mails by %(name)s are no longer tested"),
    _("canary mails were turned off before it arrived"),
    _(
        "%(n)s notices wait, of which no message can be composed: nobody hears what they are about. The first one is %(id)s (GET /v1/notices/%(id2)s), since %(at)s: %(why)s. They are tried again every few minutes"
    ),
    _("the log has the cause"),
    _("all messages can be composed again"),
    _(
        "%(n)s rows of the database cannot be read, because another version wrote them or they are damaged: nothing is decided of them, and nobody is notified of what they are about: %(names)s. Run the newest version on all hosts"
    ),
    _("if that is so, change or delete these rows by the API (docs/operate.md). The log has the cause of each"),
    _("all rows can be read again"),
    _("its limits have refused %(n)s event"),
    _("its limits have refused %(n)s events"),
    _("nobody hears of these backups. Most recently: %(why)s"),
    _("it has refused nothing for a day, or was revoked"),
    _("reports are within the budgets and the usual again"),
)
_EXCESSES = (
    _("agent %(agent)s reports very much for a new one: %(n)s results since %(at)s, %(failures)s of them no success"),
    _("agent %(agent)s reports %(times)s times its usual: %(n)s results since %(at)s, %(failures)s of them no success"),
    _("usually %(n)s a day"),
    _("%(n)s more agents"),
    _("refused since %(at)s: %(n)s reports beyond the budget of %(words)s"),
    _("refused since %(at)s: %(n)s reports beyond the budget of %(words)s, most of them of agent %(agent)s"),
    _("%(n)s of them are failures, stored under this job"),
    _("%(n)s events a minute"),
    _("%(n)s new agents an hour"),
    _("%(n)s new jobs an hour"),
    _("%(n)s bytes a day"),
    _("%(n)s mails a minute"),
    _(
        "Failures are accepted all the same. A success may be among what was refused: a job of this key that is called missed may have run."
    ),
)
_PATTERNS = patterns_of(
    (
        *(*_OUTCOMES, *_ALERTS, *_CLOSINGS, *_NOTICES, *_MESSAGES, *_REPORTS, *_SERVICE, *_EXCESSES),
        *(*DISKS, *CREDENTIALS, *CANARIES, *RELAYS),
    )
)


# Where a sentence about too many reports begins: their message has as many as there are agents and budgets.
_EXCESS = re.compile(r"\. (?=agent |\d+ more agents|refused since |Failures are accepted all the same\. )")


def stored_text(text: str, texts: NullTranslations) -> str | Markup:
    """Return a stored text in a language; a part of it that is not translated is marked as English."""
    sentences = [translated_parts(one, texts, _PATTERNS) for one in _EXCESS.split(text)]
    return (Markup(". ") if any(isinstance(one, Markup) for one in sentences) else ". ").join(sentences)
