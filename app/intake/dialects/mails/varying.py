"""Remove from a subject what differs from run to run (times, dates, durations, counters, sizes, ids) and the additions of gateways."""

import re

VARIED = "\x01"  # stands for what was taken away
_GATEWAY = re.compile(
    r"\s*(?:\[\s*(?:ext(?:ern(?:al|e|o)?)?(?: (?:e-?mail|sender|email))?|spam\??|suspected spam|bulk|phish[^\]]{0,40}|caution|warning: external"
    r"|externe?|quarant[^\]]{0,20}|encrypted[^\]]{0,40})\s*:?\s*\]"
    r"|\*{2,5}\s?(?:spam|ext[^*]{0,30}|unverified[^*]{0,30}|caution|suspicious[^*]{0,30})\s?\*{2,5}"
    r"|(?:fwd?|wg|re|aw|tr|r|sv|vs|rv|enc|res|antw|odp|pd|ynt|ilt|vb|doorst|转发|回复|答复|轉寄)\s?(?:\[\d{1,3}\])?\s?[:\uff1a])",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan|feb|fév|mar|mär|mrz|apr|avr|may|mai|maj|mei|jun|jul|aug|aoû|ago|sep|oct|okt|ott|out|nov|dec|dez|déc|dic|ene|gen|abr|giu|lug|set|mag)"
    r"[^\W\d_]{0,9}\.?"
)
_DAY = (
    r"(?:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun|monday|tuesday|wednesday|thursday|friday|saturday|sunday|mo|di|mi|do|fr|sa|so|montag|dienstag"
    r"|mittwoch|donnerstag|freitag|samstag|sonntag|lun|mar|mer|jeu|ven|sam|dim|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)\.?"
)
_UNITS = (
    r"(?:[kmgtp]i?b(?:/s|ps)?|b|bytes?|octets?|ms|s|sec(?:s|onds?)?|min(?:s|utes?|uten)?|h|hrs?|hours?|std|stunden?|heures?|ore|horas?|uur|d|days?|tagen?|tage"
    r"|jours?|giorni|días|dias|dagen|files?|dateien?|fichiers?|objects?|objekte|items?|vms?|machines?|jobs?|tasks?|errors?|fehlern?|warnings?|warnungen"
    r"|retries|attempts?|volumes?|servers?|hosts?|times?)"
)
# Texts that tools number: "Backup report 4711" is one job each night. A shorter number may belong to a name ("Report 3").
_NUMBERED = "|".join(
    rf"(?<=\b{word}\s)"
    for word in (
        "report",
        "bericht",
        "rapport",
        "informe",
        "raport",
        "message",
        "notification",
        "event",
        "alert",
        "ticket",
    )
)
# What differs from run to run: times, dates, durations, counters, sizes, ids. All are bounded.
_VARYING = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\w-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\w-])",
        (
            rf"(?<!\w)(?:{_DAY},?\s)?\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}(?:[-T_ ]{{1,2}}\d{{1,2}}[:.h-]\d{{2}}(?:[:.-]\d{{2}}(?:[.,]\d{{1,9}})?)?)?"
            r"(?:\s?(?:z|utc|gmt|[+-]\d{2}:?\d{2}|[ap]\.?m\.?))?(?!\w)"
        ),
        rf"(?<!\w)(?:{_DAY},?\s)?\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})(?!\w)",
        rf"(?<!\w)(?:{_DAY},?\s)?\d{{1,2}}(?:st|nd|rd|th|\.|er)?[ -]{_MONTH}(?:,?[ -](?:19|20)\d{{2}})?(?!\w)",
        rf"(?<!\w)(?:{_DAY},?\s)?{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s(?:19|20)\d{{2}})?(?![\w:])",
        rf"(?<!\w){_MONTH}\s(?:19|20)\d{{2}}(?!\w)",
        r"(?<!\w)(?:19|20)\d{6}(?:[-T_]?\d{4,6})?z?(?!\w)",
        r"(?<!\w)\d{4}年\d{1,2}月\d{1,2}日|\d{1,2}月\d{1,2}日|\d{1,2}[時时]\d{1,2}分",
        r"(?<![\w:])\d{1,3}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?(?:\s?[ap]\.?m\.?)?(?:\s?(?:uhr|utc|gmt|cest|cet|z|est|edt|pst|pdt))?(?![\w:])",
        r"(?<!\w)\d{1,2}\s?(?:[ap]m|uhr)(?!\w)|(?<!\w)\d{1,2}h\d{2}(?!\w)",
        r"(?<!\w)(?:\d{1,4}\s?(?:d|h|m|s|min|sec)\s?){2,4}(?!\w)",
        rf"(?<![\w/])\d{{1,9}}\s?(?:/|of|out of|von|sur|de|su|di|van|af|av|z|ze|из)\s?\d{{1,9}}(?:\s{_UNITS})?(?![\w/])",
        rf"(?<![\w.,-])\d{{1,12}}(?:[.,]\d{{1,6}}){{0,4}}\s?{_UNITS}(?!\w)",
        r"(?<![\w.])\d{1,3}(?:[.,]\d{1,3})?\s?%",
        r"(?<!\w)(?:exit[ -]?(?:code|status)|status|return code|error code|errorcode|error|fehler|rc|code|fehlercode|exitcode)\s?[:=]?\s?-?\d{1,11}(?!\w)",
        r"(?:(?<!\w)(?:run|session|attempt|try|build|task id|job id|session id|id|pid|nr|no|number|lauf|versuch)\.?\s?[:=#]?\s?#?|#\s?)\d{1,12}(?!\w)",
        rf"(?:{_NUMBERED})\d{{3,12}}(?!\w)",
        r"(?<!\w)0x[0-9a-f]{1,16}(?!\w)",
        r"(?<![\w-])(?=[0-9a-f]{0,63}\d)(?=[0-9a-f]{0,63}[a-f])[0-9a-f]{8,64}(?![\w-])",
        r"(?<![\w.-])\d{5,18}(?![\w.-])",
        r"(?<=[:=])\s?\d{1,9}(?!\w)",
        rf"(?:\bon|\bam|\ble|\bel|\bop)\s{_DAY}(?!\w)",
    )
]


def without_gateway_tags(subject: str) -> str:
    """Return a subject without what gateways, replies and forwarding add before it."""
    text = subject
    for _ in range(8):  # a reply to a forwarded mail that came from outside has three
        found = _GATEWAY.match(text)
        if found is None:
            break
        text = text[found.end() :]
    return text.lstrip()


def replace_varying(text: str) -> str:
    """Return a text with a mark for each time, date, duration, counter, size and id."""
    for pattern in _VARYING:
        text = pattern.sub(f" {VARIED} ", text)
    return text
