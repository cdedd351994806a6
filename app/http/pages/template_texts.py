"""The texts of templates in the reader's language, each translated once: a page has a thousand of them, and Jinja's own way of
translating one takes five calls and the search for its variables.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from gettext import NullTranslations

from markupsafe import Markup

_TEXTS_MOST = 4096
_ = str  # marks texts for the catalogs; they are translated when they are shown

# By the words of states, days and alerts: as they stand within a line.
_WORDS = {
    "failed": _("failed"),
    "missed": _("missed"),
    "overrun": _("overrun"),
    "warning": _("with warnings"),
    "late": _("late"),
    "cancelled": _("cancelled"),
    "ok": _("ok"),
    "none": _("no report"),
    "new": _("new"),
    "silent": _("silent"),
    "agent_silent": _("silent"),
    "clock_off": _("clock is wrong"),
    "unclear": _("unclear"),
}
# The same at the beginning of a line, and those of runs.
_HEAD_WORDS = {
    "failed": _("Failed"),
    "missed": _("Missed"),
    "overrun": _("Overrun"),
    "warning": _("With warnings"),
    "late": _("Late"),
    "cancelled": _("Cancelled"),
    "ok": _("Ok"),
    "none": _("No report"),
    "new": _("New"),
    "agent_silent": _("Silent"),
    "clock_off": _("Clock is wrong"),
    "unclear": _("Unclear"),
    "success": _("Ok"),
    "failure": _("Failed"),
    "superseded": _("Never ended"),
    "running": _("Running"),
}
_ACTIVITIES = {
    "backup": _("backup"),
    "restore": _("restore"),
    "verify": _("verification"),
    "prune": _("pruning of old backups"),
    "replicate": _("replication"),
    "admin": _("administration"),
    "heartbeat": _("heartbeat"),
    "other": _("other activity"),
}


def template_texts(texts: NullTranslations) -> Mapping[str, object]:
    """Return what templates translate with: `_`, and the words of states and activities by name."""
    translate = _translator(texts)
    words = {"WORDS": _WORDS, "HEAD_WORDS": _HEAD_WORDS, "ACTIVITIES": _ACTIVITIES}
    found = {name: {one: translate(text) for one, text in some.items()} for name, some in words.items()}
    return {"_": translate, "gettext": translate, **found}


def _translator(texts: NullTranslations) -> Callable[..., str]:
    @lru_cache(_TEXTS_MOST)
    def whole(text: str) -> str:
        return Markup(texts.gettext(text)) % {}  # noqa: S704  (a text of ours)

    def translate(text: str, /, **variables: object) -> str:
        """Return a text with its variables, which are escaped. A percent sign is written `%%`, with and without variables."""
        if not variables:
            return whole(text)
        return Markup(texts.gettext(text)) % variables  # noqa: S704

    return translate
