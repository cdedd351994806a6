"""How times, sizes and text from outside are written."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.compose import error_text, phrases, strip
from app.domain.alert import AlertKind
from app.domain.mail_views import DayCell
from tests.support.mail_views import GIB, TODAY, strip_of

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 1, 10, tzinfo=UTC)

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (95.4, "95 s"),
        (125, "2 min"),
        (2460, "41 min"),
        (3600, "1 h"),
        (11400, "3 h 10 min"),
        (187200, "2 days 4 h"),
        (864000, "10 days"),
    ],
)
def test_durations(seconds, expected) -> None:
    assert phrases.duration(seconds) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (12.3 * GIB, "12.3 GiB"),
        (412 * GIB, "412 GiB"),
        (1023 * GIB, "1.0 TiB"),
        (5 * 1024**6, "5120 PiB"),
    ],
)
def test_sizes(number, expected) -> None:
    assert phrases.size(number) == expected


@pytest.mark.parametrize(
    ("now", "usual", "expected"),
    [
        (112, 100, "+12 %"),
        (100, 95, "as usual"),
        (2, 100, f"{MINUS}98 %"),
        (0, 9, f"{MINUS}100 %"),
        (700, 100, "7 times as much"),
        (5, 0, ""),
    ],
)
def test_changes(now, usual, expected) -> None:
    assert phrases.change(now, usual) == expected


def test_moments_are_local_and_show_the_year_only_if_it_differs() -> None:
    assert phrases.moment(NOW, BERLIN, NOW) == "Tue 24 Nov 02:10 CET"
    assert phrases.moment(NOW - timedelta(days=120), BERLIN, NOW) == "Mon 27 Jul 03:10 CEST"
    assert phrases.moment(NOW - timedelta(days=400), BERLIN, NOW) == "Mon 20 Oct 2025 03:10 CEST"
    assert phrases.moment(NOW, ZoneInfo("Asia/Kathmandu"), NOW) == "Tue 24 Nov 06:55 UTC+0545"


def test_text_from_outside_is_made_safe() -> None:
    assert (
        phrases.one_line("a\r\nb\x00c\x1b[1;31mred\x1b[0m \x1b]0;title\x07end\u202e!\ud800", 80)
        == "a b cred end!\ufffd"
    )
    assert phrases.one_line("x" * 50, 10) == "x" * 9 + "…"
    assert phrases.one_line("Ünïcødé 備份 שלום", 80) == "Ünïcødé 備份 שלום"


@pytest.mark.parametrize(
    "harm", ["\x00", "\x1b[31m", "\x85", "\u202e", "\u200f", "\u2028", "\ufffe", "\udc80", "\u00ad"]
)
def test_what_could_harm_is_found_in_a_long_text_of_usual_and_unusual_letters(harm: str) -> None:
    page = "<td>Sicherung · Büro „Süd“</td>\n\t" * 200
    assert phrases.plain(page) == page
    assert harm not in phrases.plain(page + harm + page)


def test_the_tail_of_a_log_is_short_and_ends_with_its_last_line() -> None:
    assert phrases.tail("a\n\n  b  \n", 20, 2048) == ("a", "  b")
    assert phrases.tail("\n".join(map(str, range(100))), 3, 2048) == ("97", "98", "99")
    assert phrases.tail("10 %\r50 %\r100 %\r\ndone\n", 20, 2048) == ("100 %", "done")
    long = phrases.tail("é" * 100_000, 20, 2048)
    assert sum(len(line.encode()) + 1 for line in long) <= 2048
    assert long[0].endswith("…")


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("unable to create lock in backend: repository is already locked by PID 4515 on vm by root", "restic unlock"),
        ("Failed to create/acquire the lock /backup/borg/lock.exclusive (timeout).", "borg break-lock"),
        ("Fatal: wrong password or no key found", "password"),
        ("passphrase supplied in BORG_PASSPHRASE is incorrect.", "password"),
        ("write /srv/data/37/37f9: no space left on device", "target is full"),
        ("preallocate: file too big for remaining disk space", "target is full"),
        ("Insufficient storage IOException: No space left on device", "target is full"),
        ("dial tcp 192.0.2.1:8000: connect: connection refused", "could not be reached"),
        ("Could not resolve hostname vault: Name or service not known", "DNS"),
        ("open /srv/secret.txt: permission denied", "owner and permissions"),
        ("Permission denied (publickey).", "SSH"),
        ("Segment entry checksum mismatch [segment 2, offset 8]", "damaged"),
        ("repository does not exist: unable to open config file", "mounted"),
        ("something unheard of", "Read the end of the log"),
    ],
)
def test_hints_for_well_known_errors(message, advice) -> None:
    assert advice in error_text.hint_for(AlertKind.FAILED, message, ())


def test_hints_from_the_log_and_by_kind() -> None:
    log = ("integrity check passed", "error: no space left on device", "exit 1")
    assert "target is full" in error_text.hint_for(AlertKind.FAILED, "exit status 1", log)
    assert "Read the end" in error_text.hint_for(AlertKind.FAILED, "exit status 1", ("integrity check passed",))
    assert len({error_text.hint_for(kind, None, ()) for kind in AlertKind}) == len(AlertKind)
    assert "scheduler" in error_text.hint_for(AlertKind.MISSED, "no space left on device", ())


def test_the_volume_is_compared_by_run_not_by_day() -> None:
    def day(back: int, runs: int) -> DayCell:
        return DayCell(TODAY - timedelta(days=back), runs, 0, 0, 0, 0, runs * GIB, 0, runs * 60.0)

    hourly = (day(2, 24), day(1, 24), day(0, 7))
    assert strip.volume_of(hourly) == "7.0 GiB in 7 min, as usual"
    assert (
        strip.volume_of((day(1, 24), DayCell(TODAY, 1, 0, 0, 0, 0, GIB // 4, 0, 90.0)))
        == f"256 MiB ({MINUS}75 %) in 90 s (+50 %)"
    )
    assert strip.volume_of(strip_of("oom")) == "Mon 23 Nov: 12.1 GiB in 41 min, as usual"
    assert strip.volume_of(strip_of("mmm")) == ""
    assert strip.volume_of(strip_of("..o")) == "12.2 GiB in 41 min"
