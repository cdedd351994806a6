"""When a job should run, as a stored text has it in English, in the reader's language.

`describe_expectation` wrote the text when the alert opened, and the expectation may have changed since: the page knows only the words.
"""

import re
from gettext import NullTranslations

_EVERY = {
    "day": "at least every %(n)s days",
    "hour": "at least every %(n)s hours",
    "minute": "at least every %(n)s minutes",
    "second": "at least every %(n)s seconds",
}
_PERIOD = re.compile(r"at least every (?:(?P<n>\d{1,9}) )?(?P<unit>day|hour|minute|second)s?")
_ALL = re.compile(r"(?P<crons>.+) (?P<zone>\([^()\s]+\))")
_CRON = re.compile(
    r"(?:(?P<days>daily|monthly on day (?P<day>\d{1,2})|on working days|on (?P<names>[A-Z][a-z]+days(?:, [A-Z][a-z]+days)*)) )?"
    r"(?P<times>hourly at minute (?P<each>\d{1,2})|every (?P<hours>\d{1,2}) hours at minute (?P<minute>\d{1,2})|at (?P<clock>[\d:, ]{5,100}))"
)


def habit_text(text: str, texts: NullTranslations) -> str:
    """Return the times of a job in a language; a part that is no such text, such as a cron, as it is."""
    if found := _PERIOD.fullmatch(text):
        if found["n"] is None:
            return texts.gettext(text)
        return texts.gettext(_EVERY[found["unit"]]) % {"n": found["n"]}
    if (found := _ALL.fullmatch(text)) is None:
        return text
    return f"{'; '.join(_cron_text(one, texts) for one in found['crons'].split('; '))} {found['zone']}"


def _cron_text(text: str, texts: NullTranslations) -> str:
    found = _CRON.fullmatch(text)
    if found is None:
        return text
    if found["each"]:
        times = texts.gettext("hourly at minute %(minute)s") % {"minute": found["each"]}
    elif found["hours"]:
        times = texts.gettext("every %(hours)s hours at minute %(minute)s") % found.groupdict()
    else:
        times = texts.gettext("at %(times)s") % {"times": found["clock"]}
    if found["day"]:
        return texts.gettext("monthly on day %(day)s %(times)s") % {"day": found["day"], "times": times}
    if found["names"]:
        days = texts.gettext("on %(days)s") % {"days": ", ".join(map(texts.gettext, found["names"].split(", ")))}
        return f"{days} {times}"
    if found["days"] == "daily":
        return texts.gettext("daily %(times)s") % {"times": times}
    return f"{texts.gettext('on working days')} {times}" if found["days"] else times
