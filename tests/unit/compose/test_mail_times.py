"""How long mail takes, in words."""

import pytest

from app.compose import phrases
from app.domain.canary import MailTimes


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (MailTimes(4.2, 180, 30, 0), "Your mail took 4 s on average in the last 30 days, the slowest 3 min."),
        (MailTimes(0.3, 0.4, 30, 0), "Your mail took less than 1 s in the last 30 days."),
        (MailTimes(0.3, 9, 30, 0), "Your mail took less than 1 s on average in the last 30 days, the slowest 9 s."),
        (MailTimes(4, 4, 1, 0), "Your mail took 4 s in the last 30 days."),
        (
            MailTimes(4, 7200, 29, 1),
            "Your mail took 4 s on average in the last 30 days, the slowest 2 h. 1 of 30 test mails did not arrive.",
        ),
        (MailTimes(0, 0, 0, 3), "3 of 3 test mails did not arrive in the last 30 days."),
        (MailTimes(0, 0, 0, 1), "1 of 1 test mail did not arrive in the last 30 days."),
    ],
)
def test_the_words(times: MailTimes, words: str):
    assert phrases.mail_times(times) == words
