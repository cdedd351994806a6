"""The actions, kinds and fields of the audit log in the reader's language. In the log, the API and the address of the page they are English."""

from gettext import NullTranslations

from markupsafe import Markup

from app.compose.phrases import one_line

_ = str  # marks texts for the catalogs; they are translated when they are shown

ACTIONS = (
    *(_("acknowledge"), _("allow link"), _("approve"), _("change"), _("change password"), _("close"), _("confirm")),
    *(_("create"), _("delete"), _("dismiss"), _("doctor"), _("end link"), _("end sessions"), _("failed sign-in")),
    *(_("link"), _("make link"), _("pause"), _("prove again"), _("refuse sign-in"), _("reject"), _("repair")),
    *(_("resume"), _("retry"), _("revoke"), _("rotate"), _("send"), _("set up"), _("setup code"), _("sign in")),
    *(_("sign out"), _("take-over"), _("teach"), _("test"), _("turn off codes"), _("turn on codes")),
    *(_("undo-acknowledge"), _("undo-close")),
)
NOUNS = (
    *(_("agent"), _("alert"), _("canary"), _("customer"), _("event"), _("job"), _("key"), _("mail rule")),
    *(_("message"), _("person"), _("recipient"), _("relay"), _("retention"), _("route"), _("rule"), _("share link")),
    *(_("silence"), _("summary schedule"), _("transport")),
)
_KNOWN = frozenset((*ACTIONS, *NOUNS))
# By the names of the fields that an entry can have.
FIELDS = {
    "activity": _("activity"),
    "address": _("address"),
    "after_in_row": _("after so many in a row"),
    "agent": _("agent"),
    "agent_id": _("agent"),
    "agents_most": _("at most so many agents"),
    "agents_until": _("may add agents until"),
    "approve": _("new agents wait for approval"),
    "body": _("text of the mail"),
    "bytes_a_day": _("bytes per day"),
    "comment": _("comment"),
    "customer_id": _("customer"),
    "customer_ids": _("customers"),
    "customers": _("customers"),
    "disabled_at": _("disabled since"),
    "email": _("mail address"),
    "enabled": _("enabled"),
    "ended_sessions": _("sessions that were ended"),
    "ends_at": _("ends at"),
    "events_a_minute": _("events per minute"),
    "every": _("how often"),
    "expectation": _("when it should run"),
    "expires_at": _("expires at"),
    "external_id": _("id at the identity provider"),
    "from_addresses": _("accepted from these addresses"),
    "goes_on": _("later routes are tried, too"),
    "group_by": _("grouped by"),
    "group_interval_s": _("time between two messages of a group (seconds)"),
    "group_wait_s": _("wait for more of the group (seconds)"),
    "groups": _("groups at the identity provider"),
    "host": _("host"),
    "hour": _("hour"),
    "job": _("job"),
    "keep_events_days": _("events are kept (days)"),
    "keep_history_days": _("runs and alerts are kept (days)"),
    "kind": _("kind"),
    "labels": _("labels"),
    "mail_rule": _("mail rule"),
    "matchers": _("conditions"),
    "minute": _("minute"),
    "month_day": _("day of the month"),
    "name": _("name"),
    "names": _("names of agents and jobs"),
    "new_agents_an_hour": _("new agents per hour"),
    "new_jobs_an_hour": _("new jobs per hour"),
    "oldest_after_s": _("longest wait of a message (seconds)"),
    "outcome": _("outcome"),
    "position": _("position"),
    "previous_until": _("the earlier key works until"),
    "proposed_expectation": _("learned times"),
    "purpose": _("purpose"),
    "reason": _("reason"),
    "recipients": _("recipients"),
    "repeat_every_s": _("repeated every (seconds)"),
    "retried": _("tried again"),
    "retry_within_s": _("time for another try (seconds)"),
    "role": _("role"),
    "send_recovery": _("the end is sent, too"),
    "sender": _("sender"),
    "session": _("session"),
    "sessions": _("sessions"),
    "shows": _("what it shows"),
    "silent_after_s": _("silent after (seconds)"),
    "starts_at": _("starts at"),
    "state": _("state"),
    "subject": _("subject"),
    "summary_id": _("summary"),
    "taught_from": _("taught by the event"),
    "test_address": _("address of the test message"),
    "time_zone": _("time zone"),
    "transports": _("transports"),
    "until_fixed": _("until it is fixed"),
    "was": _("before"),
    "way": _("way"),
    "weekday": _("weekday"),
    "why": _("reason"),
}


def audit_word(word: str, texts: NullTranslations) -> str:
    """Return an action or a kind of object in a language; one that is not known as it is."""
    return texts.gettext(word) if word in _KNOWN else word


def audit_field(name: str, texts: NullTranslations) -> str | Markup:
    """Return the name of a field in a language; one that is not known as it is, marked as English."""
    if name in FIELDS:
        return texts.gettext(FIELDS[name])
    return Markup('<span lang="en">{}</span>').format(one_line(name, 60))
