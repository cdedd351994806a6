"""How long a silence lasts that is made on a page: each menu names the day of a morning."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.core.errors import NotFound
from app.http.pages.silence_lengths import mornings, silence_end

_BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("local", "offered"),
    [
        ((2026, 11, 28, 0, 10), [("2026-11-28", True), ("2026-11-29", False)]),
        ((2026, 11, 28, 6, 59), [("2026-11-28", True), ("2026-11-29", False)]),
        ((2026, 11, 28, 7, 0), [("2026-11-29", False)]),
        ((2026, 11, 28, 23, 59), [("2026-11-29", False)]),
    ],
)
def test_in_the_night_the_coming_morning_is_offered_too(
    local: tuple[int, int, int, int, int], offered: list[tuple[str, bool]]
) -> None:
    now = datetime(*local, tzinfo=_BERLIN).astimezone(UTC)
    found = mornings(now, _BERLIN)
    assert [(one.day.isoformat(), one.is_today) for one in found] == offered
    for one in found:
        assert silence_end(one.length, now, _BERLIN) == datetime(
            one.day.year, one.day.month, one.day.day, 8, tzinfo=_BERLIN
        )


def test_midnight_between_the_page_and_its_button_moves_no_morning() -> None:
    before, after = datetime(2026, 11, 28, 22, 59, tzinfo=UTC), datetime(2026, 11, 28, 23, 1, tzinfo=UTC)
    [tomorrow] = mornings(before, _BERLIN)
    assert silence_end(tomorrow.length, after, _BERLIN) == silence_end(tomorrow.length, before, _BERLIN)


@pytest.mark.parametrize("length", ["", "morning", "morning:", "morning:2026-13-01", "-1h"])
def test_what_no_menu_offers_is_no_length(length: str) -> None:
    with pytest.raises(NotFound):
        silence_end(length, datetime(2026, 11, 28, tzinfo=UTC), _BERLIN)
