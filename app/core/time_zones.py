"""Find the time zone that a person means: by a name of the IANA database or of Windows, an offset, or a city."""

import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

MAX_LENGTH = 64
_OF_THE_HOST = frozenset({"localtime", "posixrules", "factory"})  # on each host they mean something else
_OFFSET = re.compile(r"(?:utc|gmt)?_?([+-])([0-9]{1,2})(?::?([0-9]{2}))?")
_MOST_WEST, _MOST_EAST = -12, 14
# Abbreviations that name several zones, or are in use for half of the year only. They are refused, with places to write instead.
_ABBREVIATED = {
    "bst": ("Europe/London",),
    "cdt": ("America/Chicago",),
    "cest": ("Europe/Berlin", "Europe/Paris"),
    "cst": ("America/Chicago", "Asia/Shanghai"),
    "edt": ("America/New_York",),
    "eest": ("Europe/Athens", "Europe/Kyiv"),
    "ist": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "jst": ("Asia/Tokyo",),
    "mdt": ("America/Denver",),
    "mez": ("Europe/Berlin", "Europe/Vienna", "Europe/Zurich"),
    "mesz": ("Europe/Berlin", "Europe/Vienna", "Europe/Zurich"),
    "msk": ("Europe/Moscow",),
    "pdt": ("America/Los_Angeles",),
    "pst": ("America/Los_Angeles",),
    "aest": ("Australia/Sydney", "Australia/Brisbane"),
    "aedt": ("Australia/Sydney",),
}


def read_time_zone(text: str) -> str:
    """Return the IANA name of a time zone; raise ValueError with a sentence that says what to write instead.

    Upper and lower case are equal, and a space is an underscore. `UTC+1` is an offset for the whole year, `Etc/GMT-1`.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is not a time zone: at most {MAX_LENGTH} characters are allowed")
    name = text.strip()
    folded = _fold(name)
    if folded not in _OF_THE_HOST and _is_known(name):
        return name
    if (found := _iana_names().get(folded) or _windows_names().get(folded)) is not None:
        return found
    if (offset := _OFFSET.fullmatch(folded)) is not None:
        return _fixed(text, sign=offset[1], hours=int(offset[2]), minutes=int(offset[3] or 0))
    if len(of_city := _cities().get(folded, ())) == 1:
        return of_city[0]
    nearest = _nearest(folded)
    suggested = f"Did you mean {' or '.join(nearest)}? " if nearest else ""
    raise ValueError(
        f"is not a time zone: {text!r}. {suggested}Use a name of the IANA database, such as Europe/Berlin, a name of"
        " Windows, such as W. Europe Standard Time, or an offset in whole hours, such as UTC+1"
    )


def _fold(name: str) -> str:
    folded = re.sub(r"[\s_]+", "_", name.casefold())
    return folded[: -len("daylight_time")] + "standard_time" if folded.endswith("_daylight_time") else folded


def _is_known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as "Europe"
        return False
    return True


def _fixed(text: str, *, sign: str, hours: int, minutes: int) -> str:
    offset = hours if sign == "+" else -hours
    if minutes or not _MOST_WEST <= offset <= _MOST_EAST:
        raise ValueError(
            f"is not a time zone: {text!r}. Only whole hours from UTC-12 to UTC+14 can be given as an offset. Use the name of a"
            " place instead, such as Asia/Kolkata"
        )
    if offset == 0:
        return "Etc/UTC"
    return f"Etc/GMT{'-' if offset > 0 else '+'}{abs(offset)}"  # POSIX counts west of Greenwich as positive


def _nearest(folded: str) -> list[str]:
    """Return up to three zones that may be meant: of an abbreviation, of the cities that are named, or spelled alike."""
    if folded in _ABBREVIATED:
        return list(_ABBREVIATED[folded])
    cities = _cities()
    named = [zone for word in re.split(r"[^\w]+_?", folded) for zone in cities.get(word, ())]
    if named:
        return list(dict.fromkeys(named))[:3]
    iana, windows = _iana_names(), _windows_names()
    alike = get_close_matches(folded, [*iana, *windows, *cities], n=3, cutoff=0.7)
    return list(dict.fromkeys(iana.get(one) or windows.get(one) or cities[one][0] for one in alike))


@cache
def _iana_names() -> dict[str, str]:
    return {_fold(name): name for name in sorted(available_timezones()) if name.casefold() not in _OF_THE_HOST}


@cache
def _windows_names() -> dict[str, str]:
    table = (Path(__file__).parent / "windows_zones.tsv").read_text(encoding="utf-8")
    lines = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return {_fold(windows): iana for windows, iana in lines}


@cache
def _cities() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for folded, name in _iana_names().items():
        region, _, _ = folded.partition("/")
        if region != "etc" and "/" in folded:
            city = folded.rpartition("/")[2]
            found[city] = (*found.get(city, ()), name)
    return found
