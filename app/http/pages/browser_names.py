"""What a browser calls itself, in words that a person knows: `Firefox on Windows`."""

from gettext import NullTranslations

from app.compose.phrases import one_line

_ = str  # marks texts for the catalogs; they are translated when they are shown

# The first one that is found holds: Edge names Chrome too, Chrome names Safari, and Android names Linux.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_ON = _("%(browser)s on %(system)s")
_UNKNOWN = _("an unknown browser")


def browser_name(agent: str | None, texts: NullTranslations) -> str:
    """Return the name of a browser and its system; of a program that is no known browser, what it calls itself."""
    if not agent:
        return texts.gettext(_UNKNOWN)
    browser = next((name for sign, name in _BROWSERS if sign in agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in agent), None)
    if browser is None:
        return one_line(agent, 120)
    return browser if system is None else texts.gettext(_ON) % {"browser": browser, "system": system}
