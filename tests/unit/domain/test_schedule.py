"""When a job runs, as people have it at hand, becomes cron expressions, or is refused with a sentence that helps."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.domain.expectation import Expectation, describe_expectation, slot_after
from app.domain.schedule import read_schedule
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("text", "cron", "zone"),
    [
        ("0 2 * * *", "0 2 * * *", None),
        ("  0  2 * *   1-5 ", "0 2 * * 1-5", None),
        ("30 4 * jan,jul mon-fri", "30 4 * jan,jul mon-fri", None),
        ("0 3 * * 1#1", "0 3 * * 1#1", None),
        # several
        ("0 2 * * 1-5; 0 4 * * 6", "0 2 * * 1-5; 0 4 * * 6", None),
        ("0 2 * * 1-5\r\n0 4 * * 6\n", "0 2 * * 1-5; 0 4 * * 6", None),
        ("weekly; 0 2 * * *; @monthly", "0 0 * * 1; 0 2 * * *; 0 0 1 * *", None),
        ("@daily; daily", "0 0 * * *", None),
        # as in crontab
        ("@hourly", "0 * * * *", None),
        ("@daily", "0 0 * * *", None),
        ("@midnight", "0 0 * * *", None),
        ("@Weekly", "0 0 * * 0", None),
        ("@monthly", "0 0 1 * *", None),
        ("@yearly", "0 0 1 1 *", None),
        ("@annually", "0 0 1 1 *", None),
        ("CRON_TZ=europe/berlin 0 2 * * *", "0 2 * * *", "Europe/Berlin"),
        ("TZ=UTC @daily", "0 0 * * *", "UTC"),
        # as in a systemd timer
        ("minutely", "* * * * *", None),
        ("hourly", "0 * * * *", None),
        ("daily", "0 0 * * *", None),
        ("weekly", "0 0 * * 1", None),
        ("monthly", "0 0 1 * *", None),
        ("quarterly", "0 0 1 1,4,7,10 *", None),
        ("semiannually", "0 0 1 1,7 *", None),
        ("yearly", "0 0 1 1 *", None),
        ("Mon..Fri 02:30", "30 2 * * 1-5", None),
        ("OnCalendar=Mon..Fri 02:30", "30 2 * * 1-5", None),
        ("Mon,Wed,Fri *-*-* 18:00:00", "0 18 * * 1,3,5", None),
        ("Fri..Mon 1:00", "0 1 * * 0,1,5,6", None),
        ("Monday 02:30", "30 2 * * 1", None),
        ("Sat", "0 0 * * 6", None),
        ("*-*-* 04:00:00", "0 4 * * *", None),
        ("*-*-* 02,14:30:15", "30 2,14 * * *", None),
        ("*-*-01 00:00", "0 0 1 * *", None),
        ("*-*-1,15", "0 0 1,15 * *", None),
        ("*-1..3-* 12:00", "0 12 * 1-3 *", None),
        ("10-15 05:00", "0 5 15 10 *", None),
        ("*:0/15", "*/15 * * * *", None),
        ("*:*/15", "*/15 * * * *", None),
        ("00/6:00", "0 */6 * * *", None),
        ("8..17:05", "5 8-17 * * *", None),
        ("Mon *-*-1..7 03:00", "0 3 * * 1#1", None),
        ("Mon,Thu *-*-8..14 03:00", "0 3 * * 1#2,4#2", None),
        ("*-*~01 23:00", "0 23 L * *", None),
        ("Sun *-*~07/1 23:00", "0 23 * * 0L", None),
        ("Mon..Fri 02:30 Europe/Berlin", "30 2 * * 1-5", "Europe/Berlin"),
        ("daily UTC", "0 0 * * *", "UTC"),
        ("Mon 02:00 UTC; Tue 03:00 UTC", "0 2 * * 1; 0 3 * * 2", "UTC"),
    ],
)
def test_a_schedule_is_understood(text: str, cron: str, zone: str | None) -> None:
    schedule = read_schedule(text)
    assert (schedule.cron, schedule.time_zone) == (cron, zone)
    assert read_schedule(schedule.cron).cron == cron, "what the API answers can be sent again"


@pytest.mark.parametrize(
    ("text", "helps"),
    [
        ("", "it is empty"),
        (" ; ", "it is empty"),
        ("@reboot", "@reboot names no time, so a run cannot be missed; leave cron out and send period_s"),
        ("@every 5m", "send period_s"),
        ("@dayly", "did you mean @daily?"),
        ("@daily /usr/bin/backup", "leave out the command after @daily"),
        ("15 12 1 *", "exactly five fields (minute, hour, day, month, weekday), @daily or systemd's OnCalendar"),
        ("0 0 2 * * *", "leave out the seconds in front"),
        ("0 0 2 * * ? 2026", "leave out the seconds in front, and a year at the end"),
        ("0 2 * * * /usr/bin/backup --all", "leave out the command"),
        ("0 2 ? * MON", "'?' is syntax of Quartz"),
        ("H 2 * * *", "'H' is syntax of Jenkins"),
        ("H/15 * * * *", "'H' is syntax of Jenkins"),
        ("0 2 15W * *", "'W' is syntax of Quartz"),
        ("61 2 * * *", "Bad minute"),
        ("0 0 31 2 *", "Bad day-of-month"),
        ("every night", "exactly five fields"),
        ("2026-01-01", "the year '2026' is not supported"),
        ("*-*-* *:*:0/5", "the seconds '0/5' are not supported"),
        ("02:30:\u00b9\u00b2", "is not a time of day"),
        ("\u00b2:30", "is not a time of day"),
        ("Mon *-*-1..8 03:00", "a weekday together with days of the month is supported only for the first, second"),
        ("*-*~03", "only its last day (*-*~01) and its last weekday (Mon *-*~07/1) are supported"),
        ("Montag 02:30", "'montag' is not a weekday, such as Mon or Mon..Fri"),
        ("24:30", "'24' is out of range for the hour: 0 to 23"),
        ("02:60", "'60' is out of range for the minute: 0 to 59"),
        ("18..8:00", "'18..8' is out of range for the hour"),
        ("02:30 Mars", "'Mars'"),
        ("02:30 Europe/Berln", "Did you mean Europe/Berlin"),
        ("02:30 Europe/Berlin; 04:00 UTC", "must have the same time zone"),
        ("02:30 Europe/Berlin; 0 4 * * *", "must have the same time zone"),
        (";".join(f"{minute} 2 * * *" for minute in range(11)), "at most 10 schedules"),
    ],
)
def test_another_text_is_refused_with_a_sentence_that_helps(text: str, helps: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_schedule(text)
    assert helps in refused.value.detail
    assert refused.value.code == "bad_cron"


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * * 1-5; 0 4 * * 6", "on working days at 02:00; on Saturdays at 04:00 (UTC)"),
        ("0 3 * * 1#1", "0 3 * * 1#1 (UTC)"),
    ],
)
def test_several_schedules_are_described_one_after_the_other(cron: str, words: str) -> None:
    assert describe_expectation(Expectation(timedelta(0), cron=cron)) == words


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@settings(max_examples=examples(150), deadline=None)
@given(
    st.sets(st.integers(0, 6)),
    st.sets(st.integers(0, 23), min_size=1, max_size=4),
    st.sets(st.sampled_from([0, 7, 15, 30, 45]), min_size=1),
    st.sets(st.integers(1, 28), max_size=3),
    st.integers(0, 360),
)
def test_a_calendar_expression_is_due_when_systemd_says_so(
    weekdays: set[int], hours: set[int], minutes: set[int], days: set[int], start: int
) -> None:
    days = set() if weekdays else days
    text = " ".join(
        filter(
            None,
            (
                ",".join(_DAYS[day] for day in sorted(weekdays)),
                f"*-*-{','.join(map(str, sorted(days)))}" if days else "",
                f"{','.join(map(str, sorted(hours)))}:{','.join(f'{minute:02}' for minute in sorted(minutes))}",
            ),
        )
    )
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=start)
    due = moment + timedelta(minutes=1)
    while not (
        due.hour in hours
        and due.minute in minutes
        and (not weekdays or due.weekday() in weekdays)
        and (not days or due.day in days)
    ):
        due += timedelta(minutes=1)
    assert slot_after(Expectation(timedelta(0), cron=read_schedule(text).cron), moment) == due


@given(st.text(alphabet="0123456789*,-/.:~@;#?LWH monfridaily_Z=\n", max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        schedule = read_schedule(text)
    except BadInput:
        return
    assert read_schedule(schedule.cron).crons == schedule.crons
