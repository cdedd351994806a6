"""The texts of pages in the reader's language, with gettext. English is the text in the source; German is in `locale/de`.

`make messages` finds new texts. A test fails while one of them has no translation.
"""

import gettext
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from io import BytesIO

from babel.core import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

SOURCE = "en"
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
_LOCALES = files("app.http.pages").joinpath("locale")


@cache
def translations(language: str) -> gettext.NullTranslations:
    """Return the texts of a language. The catalog is compiled here at the first use: no compiled file can be out of date."""
    if language == SOURCE:
        return gettext.NullTranslations()
    compiled = BytesIO()
    with _LOCALES.joinpath(language, "LC_MESSAGES", "pages.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def locale_of(language: str) -> Locale:
    """Return what Babel knows of a language: names of days, signs in numbers. English dates are European: 26 Nov, 02:43."""
    return Locale.parse("en_GB" if language == SOURCE else language)


def preferred_language(chosen: str | None, accepted: str | None) -> str:
    """Return the language that the reader chose, else the best of the browser's `Accept-Language`, else English."""
    if chosen is not None and chosen in LANGUAGES:
        return chosen
    wanted = [part.partition(";")[0].strip() for part in (accepted or "")[:200].split(",")]
    found: str | None = negotiate_locale([name for name in wanted if name], list(LANGUAGES), sep="-")
    return found or SOURCE
