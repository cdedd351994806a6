"""The texts that are stored in English, in the reader's language: reasons of alerts and notices, why a message was not sent, what Tocsin
itself reports.

They are English in the API, in mails and in the log. A part that is not here is shown as it is, marked as English: most of those are
the words of a server.
"""

from gettext import NullTranslations

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated_parts

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
_RELAYS = (
    _("relay %(name)s is paused: %(words)s"),
    _("no reason given"),
    _("relay %(name)s cannot send since %(at)s: %(text)s"),
    _("relay %(name)s does not send: %(text)s"),
    _("relay %(name)s has not reported since %(at)s"),
    _("relay %(name)s has not reported yet"),
    _("a message has waited for relay %(name)s since %(at)s"),
    _("relay %(name)s is busy with one message since %(at)s"),
    _("a window opened: %(text)s"),
    _("a message stuck in its Outbox: %(text)s"),
    _("one timeout after the other: %(text)s"),
    _("its logon failed: %(text)s"),
    _("its mail profile is missing: %(text)s"),
    _("its mail client cannot be used: %(text)s"),
    _("with its profile mail could stay in the Outbox: %(text)s"),
    _("its mail client and its Python differ in bitness: %(text)s"),
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
_PATTERNS = patterns_of((*_OUTCOMES, *_ALERTS, *_CLOSINGS, *_NOTICES, *_MESSAGES, *_RELAYS, *_REPORTS))


def stored_text(text: str, texts: NullTranslations) -> str | Markup:
    """Return a stored text in a language; a part of it that is not translated is marked as English."""
    return translated_parts(text, texts, _PATTERNS)
