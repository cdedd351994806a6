"""The time zone that a person means, or a sentence that helps."""

from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.time_zones import MAX_LENGTH, _windows_names, read_time_zone


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        (" EUROPE/BERLIN ", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("america/argentina/buenos aires", "America/Argentina/Buenos_Aires"),
        ("Europe/Kiev", "Europe/Kiev"),
        ("Europe/Kyiv", "Europe/Kyiv"),
        ("europe/kiev", "Europe/Kiev"),
        ("US/Eastern", "US/Eastern"),
        ("CET", "CET"),
        ("GMT", "GMT"),
        ("utc", "UTC"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("W. Europe Daylight Time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("FLE Standard Time", "Europe/Kiev"),
        ("Tokyo Standard Time", "Asia/Tokyo"),
        ("UTC+1", "Etc/GMT-1"),
        ("GMT-5", "Etc/GMT+5"),
        ("UTC+01:00", "Etc/GMT-1"),
        ("-0800", "Etc/GMT+8"),
        ("UTC+0", "Etc/UTC"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
    ],
)
def test_a_common_spelling_is_understood(text: str, zone: str) -> None:
    assert read_time_zone(text) == zone


@pytest.mark.parametrize(
    ("text", "helps"),
    [
        ("Europe/Berln", "Did you mean Europe/Berlin"),
        ("Europe/Munich", "Europe/"),
        ("CEST", "Did you mean Europe/Berlin or Europe/Paris?"),
        ("PST", "Did you mean America/Los_Angeles?"),
        ("MESZ", "Did you mean Europe/Berlin"),
        (
            "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna",
            "Did you mean Europe/Amsterdam or Europe/Berlin",
        ),
        ("W. Europe Standart Time", "Did you mean Europe/Berlin"),
        ("UTC+5:30", "name of a place instead, such as Asia/Kolkata"),
        ("UTC+15", "from UTC-12 to UTC+14"),
        ("Europe", "W. Europe Standard Time"),
        ("localtime", "W. Europe Standard Time"),
        ("../../etc/passwd", "such as Europe/Berlin"),
        ("", "such as Europe/Berlin"),
        ("x" * (MAX_LENGTH + 1), "at most 64 characters"),
    ],
)
def test_another_name_is_refused_with_a_sentence_that_helps(text: str, helps: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone") as refused:
        read_time_zone(text)
    assert helps in str(refused.value)


def test_every_zone_of_windows_exists_in_the_iana_database() -> None:
    assert len(_windows_names()) > 130
    assert set(_windows_names().values()) <= available_timezones()


@given(st.text(max_size=80) | st.from_regex(r"(UTC|GMT)?[+-][0-9]{1,4}", fullmatch=True))
def test_any_text_is_a_zone_or_is_refused(text: str) -> None:
    try:
        zone = read_time_zone(text)
    except ValueError:
        return
    assert ZoneInfo(zone) is not None
