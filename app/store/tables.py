"""The tables of what happened and what follows from it: agents, jobs, events, runs, alerts, notices, messages, attempts.

What administrators edit is in `tables_managed.py`. High-volume tables carry `customer_id` in their unique keys.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.store.types import Json, Utc, metadata

ID = String(40)
NEW = "state = 'new'"
# Which events are decided on first: what may open an alert or change one, and what comes from us.
TROUBLE = "(coalesce(outcome, 'success') NOT IN ('success', 'cancelled') OR severity <> 'info' OR kind <> 'report')"
JOB_TO_READ = (  # to know its state: of all other jobs, the column `state` is it
    "(jobs.state NOT IN ('ok', 'new') OR jobs.unclear_at IS NOT NULL OR jobs.overrun_since IS NOT NULL OR jobs.running_since IS NOT NULL"
    " OR jobs.late_failure_at IS NOT NULL)"
)
DAY_WITH_TROUBLE = "(job_days.failures > 0 OR job_days.missed > 0 OR job_days.warnings > 0 OR job_days.unclear > 0 OR job_days.cancelled > 0)"
STARTS = (
    "ended_at IS NULL AND run_key >= 'event:' AND run_key < 'event;'"  # starts without a run name, see domain/run.py
)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over some rows only, the same on both databases."""
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))


customers = Table(
    "customers",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("time_zone", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("labels", Json, nullable=False),
    Column("silent_after_s", Integer),  # None: the rule decides
    Column("last_heard_at", Utc),
    Column("last_proven_at", Utc),  # of its reports that are not unclear
    Column("silent_at", Utc),  # when the clock calls it silent; None: never
    Column("silent_since", Utc),  # since when it counts as silent; None: it does not
    Column("clock_offset_s", Integer),  # by how much its clock is behind (negative: ahead); None: not known to be wrong
    Column("clock_off_at", Utc),  # the newest report that shows it
    Column("state", String(10), nullable=False, server_default="approved"),  # approved | waiting | rejected
    Column("enrolled_by", ID),  # the enrolment key that let it in; no foreign key: a key's row may go
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("customer_id", "name"),
    _partial("ix_agents_silent_at", "silent_at", where="silent_at IS NOT NULL"),
    _partial("ix_agents_silent", "customer_id", where="silent_since IS NOT NULL"),
    _partial("ix_agents_undecided", "id", where="state <> 'approved'"),
    _partial("ix_agents_enrolled_by", "enrolled_by", where="enrolled_by IS NOT NULL"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, ForeignKey("customers.id"), nullable=False),
    Column("agent_id", ID, ForeignKey("agents.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("activity", String(16), nullable=False),
    Column("labels", Json, nullable=False),
    Column("expectation", Json),  # {cron | period_s, time_zone, grace_s, longest_s}
    Column("proposed_expectation", Json),  # learned from its runs; waits to be confirmed
    Column(
        "told_expectation", Json
    ),  # {period_s, grace_s ...}: until the next run, which its tool announced at `told_at`
    Column("told_at", Utc),
    Column("dismissed_at", Utc),  # when an administrator dismissed the expectation: no run is to be expected
    Column("learned_at", Utc),  # when its runs were last looked at for a cadence
    Column("learn_at", Utc),  # when they are to be; None: nothing new
    Column("state", String(16), nullable=False),
    Column("failures_in_row", Integer, nullable=False),
    Column("warnings_in_row", Integer, nullable=False),
    Column("missed_in_row", Integer, nullable=False),
    Column("failing_since", Utc),
    Column("running_since", Utc),
    Column("overrun_since", Utc),  # since when runs that have not ended take too long
    Column("unclear_at", Utc),  # when its newest unclear run ended, unless a run proved something since
    Column("late_failure_at", Utc),  # of a failure after which nothing good came, although a later time ended well
    Column("last_outcome", String(16)),
    Column("last_finished_at", Utc),
    Column("last_success_at", Utc),
    Column("last_came_at", Utc),  # newest start or end: the job showed a sign of life
    Column("last_message", Text),
    Column("last_run_id", ID),
    Column("last_due_at", Utc),  # the newest slot that a run filled or that was missed
    Column("next_due_at", Utc),
    Column("overdue_at", Utc),  # next_due_at plus grace: when the run counts as missed
    Column("created_at", Utc, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("customer_id", "agent_id", "name", "activity"),
    _partial("ix_jobs_overdue_at", "overdue_at", where="overdue_at IS NOT NULL"),
    _partial("ix_jobs_learn_at", "learn_at", where="learn_at IS NOT NULL"),
    _partial("ix_jobs_to_read", "customer_id", where=JOB_TO_READ.replace("jobs.", "")),
    _partial("ix_jobs_proposed", "id", where="proposed_expectation IS NOT NULL"),
    Index("ix_jobs_customer_state", "customer_id", "state"),
    Index("ix_jobs_agent", "agent_id"),
)

events = Table(
    "events",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, nullable=False),
    Column("agent_id", ID, nullable=False),
    Column("key", String(200), nullable=False),
    Column(
        "kind", String(8), nullable=False, server_default="report"
    ),  # report | taught | relay | canary | missed, overrun, silent (the clock's)
    Column("state", String(10), nullable=False, server_default="new"),  # new | folded | set_aside
    Column("job", String(200)),
    Column("run", String(200)),
    Column("activity", String(16), nullable=False),
    Column("phase", String(10)),
    Column("outcome", String(10)),
    Column("severity", String(10), nullable=False),
    Column("occurred_at", Utc, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("message", Text),
    Column("log", Text),
    Column("metrics", Json),
    Column("labels", Json),
    Column("extra", Json),
    Column("flags", Json),  # list of what was altered on the way in
    Column("run_id", ID),
    Column("error", Text),  # why it was set aside
    UniqueConstraint("customer_id", "agent_id", "key"),
    Index("ix_events_new", "id", postgresql_where=text("state = 'new'"), sqlite_where=text("state = 'new'")),
    # Each waiting event is in one of these, by which deciding takes turns: see store/waiting.py.
    _partial("ix_events_trouble", "customer_id", "agent_id", "id", where=f"{NEW} AND {TROUBLE}"),
    _partial("ix_events_routine", "customer_id", "agent_id", "id", where=f"{NEW} AND NOT {TROUBLE}"),
    # For lists, see store/repository.py. They end with the id, by which pages go, and hold nothing that changes later.
    Index("ix_events_job", "agent_id", "job", "activity", "outcome", "id"),
    # None by customer, whose newest events are in the ranges of its jobs: another index of all events slows intake by a third.
    _partial("ix_events_outcome", "outcome", "id", where="outcome <> 'success'"),
    _partial("ix_events_run", "run_id", where="run_id IS NOT NULL"),
    _partial("ix_events_set_aside", "id", where="state = 'set_aside'"),
)

ignored_mails = Table(
    "ignored_mails",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("sender", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, nullable=False),
    Column("job_id", ID, ForeignKey("jobs.id"), nullable=False),
    # By code points, as Python compares: it orders the runs that ended at the same time.
    Column("run_key", String(260).with_variant(String(260, collation="C"), "postgresql"), nullable=False),
    Column("started_at", Utc),
    Column("ended_at", Utc),
    Column("heard_at", Utc, nullable=False),  # newest event of it
    Column("outcome", String(10)),  # None while it runs
    Column("severity", String(10), nullable=False),
    Column("message", Text),
    Column("metrics", Json),
    Column("decided_by", String(200)),  # key of the event that decided the outcome: breaks ties the same in any order
    Column("event_id", ID),
    Column("overrun_at", Utc),  # when the clock calls it too long; None once it ended or was called so
    Column("day", Date),  # of job_days, on which its amounts are counted
    UniqueConstraint("customer_id", "job_id", "run_key"),
    Index("ix_runs_job", "job_id", "outcome", "id"),
    _partial("ix_runs_outcome", "outcome", "id", where="outcome <> 'success'"),
    Index("ix_runs_job_ended", "job_id", "ended_at"),
    # The places in the history of a job, see store/run_history.py: what a late event changes is looked up, and not counted again.
    _partial("ix_runs_history", "job_id", "outcome", "ended_at", "run_key", where="ended_at IS NOT NULL"),
    _partial("ix_runs_job_starts", "job_id", "started_at", where=STARTS),
    # It also holds runs that never ended, for as long as the history is kept: outcome and start find the wanted ones among them.
    _partial("ix_runs_job_open", "job_id", "outcome", "started_at", where="ended_at IS NULL"),
    _partial("ix_runs_overrun_at", "overrun_at", where="overrun_at IS NOT NULL"),
)

job_days = Table(
    "job_days",
    metadata,
    Column("customer_id", ID, primary_key=True),
    Column("job_id", ID, ForeignKey("jobs.id"), primary_key=True),
    Column("day", Date, primary_key=True),  # in the customer's time zone
    *(Column(name, Integer, nullable=False) for name in ("successes", "warnings", "failures", "cancelled", "missed")),
    Column("unclear", Integer, nullable=False, server_default="0"),
    Column("bytes_processed", BigInteger, nullable=False),
    Column("bytes_stored", BigInteger, nullable=False),
    Column("duration_s", Float, nullable=False),
    _partial("ix_job_days_trouble", "customer_id", "day", where=DAY_WITH_TROUBLE.replace("job_days.", "")),
    Index(
        "ix_job_days_day", "day", "customer_id"
    ),  # day first: a summary over all customers reads two weeks, not all history
)

excesses = Table(
    "excesses",
    metadata,
    Column("key_id", ID, primary_key=True),
    Column("what", String(24), primary_key=True),  # a budget, or `results`: more than usual of one agent
    Column("agent_id", ID, primary_key=True),  # of results; empty for a budget
    Column("customer_id", ID, nullable=False),
    Column("since", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("events", BigInteger, nullable=False),  # refused since then, or results of the hour
    Column("failures", BigInteger, nullable=False),  # of the results: those that were no success
    Column("most_of", String(200), nullable=False),  # name of the agent of which most was refused
    Column("reported_at", Utc),
    Column("usual", Float),  # results of the agent on a day
    Column("judged_at", Utc),
)

# What was refused of agents that exist, for the alert about a run that did not come.
refused_reports = Table(
    "refused_reports",
    metadata,
    Column("agent_id", ID, primary_key=True),
    Column("customer_id", ID, nullable=False),
    Column("since", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("why", String(400), nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, nullable=False),
    Column("agent_id", ID, nullable=False),
    Column("job_id", ID),
    Column("subject_id", ID, nullable=False),  # the job, or the agent where the alert is about no job
    Column("kind", String(16), nullable=False),
    Column("rule_id", ID),
    Column("severity", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text),
    Column("event_id", ID),  # newest event that it rests on
    Column("since", Utc, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("form", String(40), nullable=False, server_default=""),  # unclear only: which form of text it is about
    Column("acknowledged_at", Utc),
    Column("acknowledged_by", String(200)),
    Column("acknowledged_by_id", ID),  # the person or the key
    Column("closed_at", Utc),
    Column("closed_reason", Text),
    _partial("uq_alerts_open", "customer_id", "subject_id", "kind", "form", where="closed_at IS NULL", unique=True),
    Index("ix_alerts_closed_at", "closed_at"),
    Index("ix_alerts_subject", "subject_id", "id"),
    Index("ix_alerts_agent", "agent_id", "id"),
    Index("ix_alerts_customer", "customer_id", "id"),
    _partial("ix_alerts_open", "id", where="closed_at IS NULL"),
)

groups = Table(
    "groups",
    metadata,
    Column("route_id", ID, primary_key=True),
    Column("group_key", String(64), primary_key=True),
    Column("told_at", Utc, nullable=False),  # when its newest notices are or were due
)

notices = Table(
    "notices",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID),
    Column("recipient_id", ID),  # None where no route led to a recipient: the decision is stored nevertheless
    Column("route_id", ID),
    Column("alert_id", ID),
    Column("summary_id", ID),
    Column("what", String(12), nullable=False),  # opened | repeated | recovered | summary
    Column("state", String(12), nullable=False),  # waiting | muted | worded | suppressed
    Column("reason", Text, nullable=False),
    Column("due_at", Utc, nullable=False),  # waiting: when it is composed; muted: when it is judged again
    Column("group_key", String(64), nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("repeat_at", Utc),  # if the alert is still open then, it is reported again
    Column("message_id", ID),
    Column("dedupe", String(200), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False),
    _partial("ix_notices_due", "due_at", where="state IN ('waiting', 'muted')"),
    _partial("ix_notices_repeat_at", "repeat_at", where="repeat_at IS NOT NULL"),
    Index("ix_notices_customer", "customer_id", "state", "id"),
    Index("ix_notices_recipient", "recipient_id", "id"),
    _partial("ix_notices_summary", "summary_id", where="summary_id IS NOT NULL"),
    Index("ix_notices_alert", "alert_id"),
    Index("ix_notices_message", "message_id"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID),
    Column("recipient_id", ID, nullable=False),
    Column("transport", String(12), nullable=False),
    Column("place", Integer, nullable=False),  # which of the recipient's transports this is, from 0
    Column("address", String(1000), nullable=False),
    Column("state", String(8), nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("is_alert", Boolean, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message_id", String(255), nullable=False),  # the same for all successors of one composed message
    Column("created_at", Utc, nullable=False),
    Column("due_at", Utc, nullable=False),
    Column(
        "move_on_at", Utc, nullable=False
    ),  # an alert that waits longer than this goes to the recipient's next transport
    Column("give_up_at", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),  # those that have ended
    Column("lease_token", String(40)),
    Column("lease_until", Utc),
    Column("lease_holder", String(200)),
    Column("maybe_sent", Boolean, nullable=False),  # an attempt ended unknown: it may have arrived already
    Column("moved_to", ID),
    Column("moved_from", ID),
    Column("relay_id", ID),  # the relay that had it first: a message stays with it, for only it can know what it did
    Column("about_relay_id", ID),  # the relay whose trouble it reports: that one sends it only if nothing else can
    Column("why", Text),  # the last settlement in words
    Column("moved_why", Text),  # why its predecessor was moved; unlike `why` it stays
    Column("settled_at", Utc),
    _partial("ix_messages_due", "transport", "urgency", "due_at", where="state IN ('queued', 'unknown')"),
    _partial("ix_messages_dead", "settled_at", where="state = 'dead'"),
    _partial("ix_messages_bounced", "settled_at", where="state = 'bounced'"),
    _partial("ix_messages_leased", "lease_until", where="state = 'leased'"),
    Index("ix_messages_customer", "customer_id", "state", "id"),
    Index("ix_messages_recipient", "recipient_id", "id"),
)

# Apart from the message, which changes at each lease and settlement: SQLite writes the whole row again at each change.
bodies = Table(
    "bodies",
    metadata,
    Column("message_id", ID, ForeignKey("messages.id"), primary_key=True),
    # None where no transport of the recipient takes it.
    Column("mail", LargeBinary),  # MIME, for smtp, graph, mapi and file
    Column("webhook", LargeBinary),  # JSON, for webhook
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("message_id", ID, ForeignKey("messages.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("holder", String(200), nullable=False),
    Column("token", String(40), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("outcome", String(10)),  # None while under way
    Column("code", String(40)),
    Column("text", Text),
    Column("evidence", Json),  # what proves or explains the outcome, as an object
    UniqueConstraint("message_id", "number"),
)

# Mails that came to one of our own addresses (domain/own_address.py), or to our mailbox and concern a message of ours.
returned_mails = Table(
    "returned_mails",
    metadata,
    Column("id", ID, primary_key=True),
    Column("received_at", Utc, nullable=False),
    Column("via", String(8), nullable=False),  # smtp | imap
    Column("kind", String(1), nullable=False),  # as in the address: b | c
    Column("about_id", ID, nullable=False),  # the message or the canary
    Column("sender", String(320), nullable=False),  # of the envelope; empty for a bounce (RFC 5321 section 4.5.5)
    Column("sha256", String(64), nullable=False, unique=True),  # of the mail and what it is about: stored once
    Column("raw", LargeBinary, nullable=False),  # the first 256 KiB
    Column("state", String(8), nullable=False),  # new | read | failed
    Column("due_at", Utc, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("result", String(16)),  # what it was: see domain/returned_mail.py
    Column("words", Text),  # the reason in words, of the other side
    Column("read_at", Utc),
    _partial("ix_returned_mails_new", "due_at", where="state = 'new'"),
    Index("ix_returned_mails_about", "about_id"),
)

# Mail addresses of which the last mail came back. `reported_at`: when it was reported to the administrators.
bounced_addresses = Table(
    "bounced_addresses",
    metadata,
    Column("address", String(1000), primary_key=True),  # in lower case
    Column("in_a_row", Integer, nullable=False),
    Column("status", String(16), nullable=False),  # RFC 3463, such as 5.1.1
    Column("words", Text, nullable=False),
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("last_message_id", ID, nullable=False),
    Column("is_permanent", Boolean, nullable=False),
    Column("reported_at", Utc),
)

# How far a mailbox was read (RFC 3501, section 2.3.1.1), so that old mails are not read again whatever happens to their flags.
mailbox_positions = Table(
    "mailbox_positions",
    metadata,
    Column("mailbox", String(64), primary_key=True),  # a hash of its server, user and folder
    Column("uid_validity", BigInteger, nullable=False),
    Column("next_uid", BigInteger, nullable=False),
    Column("read_at", Utc, nullable=False),
    Column("trouble", Text),
)

canaries = Table(
    "canaries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("customer_id", ID, nullable=False),  # whose administrators are alerted if it is lost
    Column("transport", String(12), nullable=False),
    Column("relay_id", ID, nullable=False),  # empty: no relay
    Column("name", String(220), nullable=False),  # of its way, as in texts
    Column("day", Date, nullable=False),
    Column("fingerprint", String(32), nullable=False),  # of the way's settings: an HMAC, which shows none of them
    Column("occasion", String(120), nullable=False),  # why it was sent
    Column("message_id", ID, nullable=False),
    Column("sent_at", Utc, nullable=False),  # when it was queued
    Column("state", String(8), nullable=False),  # waiting | arrived | lost
    Column("arrived_at", Utc),
    Column("seconds", Float),  # from sent_at to arrived_at
    Column("hops", Json, nullable=False),  # [{"by", "at"}], the first one first
    Column("lost_at", Utc),
    Column("why", Text),  # of a lost one: how far it came
    Column("is_reported", Boolean, nullable=False),  # lost, and no later arrival closed the alert
    UniqueConstraint("transport", "relay_id", "occasion"),
    _partial("ix_canaries_waiting", "sent_at", where="state = 'waiting'"),
    _partial("ix_canaries_reported", "transport", "relay_id", where="is_reported"),
)
