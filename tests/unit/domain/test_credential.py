"""When the end of a certificate or secret is reported, and in which words."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.credential import Credential, credential_event
from app.domain.event import RunOutcome

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "stage", "words"),
    [
        (timedelta(days=365), None, None),
        (timedelta(days=30, seconds=1), None, None),
        (timedelta(days=30), "30 days", "in 30 days"),
        (timedelta(days=8), "30 days", "in 8 days"),
        (timedelta(days=7), "7 days", "in 7 days"),
        (timedelta(days=1, hours=5), "7 days", "in 1 day;"),
        (timedelta(hours=5), "7 days", "within a day"),
        (timedelta(0), "ended", "expired on 2026-11-26"),
        (timedelta(days=-400), "ended", "expired on 2025-10-22"),
    ],
)
def test_an_end_is_reported_in_time(left: timedelta, stage: str | None, words: str | None) -> None:
    credential = Credential("the certificate in X", NOW + left)
    event = credential_event(credential, "cus_1", "agt_1", NOW)
    assert credential.stage(NOW) == stage
    assert event.outcome is (RunOutcome.SUCCESS if stage is None else RunOutcome.FAILURE)
    assert event.key.endswith(f":{stage or 'well'}")
    if words is not None:
        assert words in event.message
        assert event.message.startswith("the certificate in X ")


def test_without_a_credential_nothing_is_in_trouble() -> None:
    assert credential_event(None, "cus_1", "agt_1", NOW).outcome is RunOutcome.SUCCESS
