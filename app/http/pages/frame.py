"""The frame of all pages: the templates, what every page knows of its reader, and the headers of a page.

Templates are in `templates/`, with autoescape; `templates/parts.html` is the component set, documented in its first lines.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from gettext import NullTranslations
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from app import __version__
from app.compose.phrases import one_line, plain, shorten
from app.context import AppContext
from app.domain.person import Role
from app.domain.recipient import shown_address
from app.http.pages.assets import asset
from app.http.pages.audit_texts import audit_field, audit_word
from app.http.pages.browser_names import browser_name
from app.http.pages.checks import check_name, check_text
from app.http.pages.doctor_texts import doctor_text
from app.http.pages.done import done_of, outcome_of, trouble_of
from app.http.pages.languages import LANGUAGES, preferred_language, translations
from app.http.pages.live_state import LiveMark
from app.http.pages.moments import Moments
from app.http.pages.refusals import refusal_text
from app.http.pages.relay_doctor_texts import relay_question, relay_text
from app.http.pages.session import SignedIn
from app.http.pages.silence_lengths import mornings
from app.http.pages.stored_texts import stored_text
from app.http.pages.template_texts import template_texts

_STORED_MOST = 1000
_COMMAND = re.compile(r"`([^`\n]{1,200})`")
THEMES = ("auto", "light", "dark")
# No script and no style in a page itself: text that an agent sent can then do no harm even if it were not escaped.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class Viewer:
    """How a reader wants pages: language, time zone and theme, from cookies and the browser."""

    language: str
    zone: ZoneInfo
    theme: str


def viewer_of(request: Request, context: AppContext, who: SignedIn | None) -> Viewer:
    """Return how the reader of this request wants pages. An unknown zone, which anybody can put into a cookie, is ignored."""
    cookies, person = request.cookies, None if who is None else who.person
    chosen = cookies.get("language") or (None if person is None else person.language)
    theme = cookies.get("theme", "auto")
    return Viewer(
        preferred_language(chosen, request.headers.get("accept-language")),
        _zone(None if person is None else person.zone, cookies.get("zone"), context.settings.time_zone),
        theme if theme in THEMES else "auto",
    )


def render(
    request: Request, context: AppContext, who: SignedIn | None, template: str, *, status: int = 200, **values: object
) -> HTMLResponse:
    """Return a page. `who` is signed in; None on the pages before that."""
    viewer = viewer_of(request, context, who)
    page = environment(viewer.language).get_template(template)
    now, texts = context.clock(), translations(viewer.language)
    outcome = {} if who is None else outcome_of(request.query_params, who.csrf)
    mark: LiveMark | None = getattr(request.state, "live", None) if who is not None else None
    live = {} if mark is None else {"live": "page", "stamp": mark.stamp, "hot": mark.unacknowledged}
    content = page.render(
        who=who,
        viewer=viewer,
        here=request.url.path,
        moments=Moments(viewer.language, viewer.zone, now),
        done=done_of(outcome, texts, now),
        trouble=trouble_of(outcome, texts),
        mornings=mornings(now, viewer.zone),
        may_act=who is not None and who.role.covers(Role.OPERATOR),
        may_edit=who is not None and who.role.covers(Role.ADMINISTRATOR),
        query=_Query(request.url.path, dict(request.query_params)),
        **{**live, **values},
    )
    return HTMLResponse(content, status, {"Content-Security-Policy": POLICY, "Vary": "Cookie, Accept-Language"})


@cache
def environment(language: str) -> Environment:
    """Return the templates in one language."""
    made = Environment(
        loader=PackageLoader("app.http.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]  # of the extension
    made.policies["ext.i18n.trimmed"] = True
    made.globals |= template_texts(translations(language))
    made.globals |= {"asset": asset, "languages": LANGUAGES, "themes": THEMES, "version": __version__}
    # Control characters and reversed text could show a reader something else than what was sent.
    made.filters |= {
        "line": _line,
        "plain": plain,
        "address": shown_address,
        "refusal_text": partial(refusal_text, texts=translations(language)),
    }
    made.filters["relay_question"] = partial(relay_question, texts=translations(language))
    made.filters["relay_text"] = partial(relay_text, texts=translations(language))
    made.filters["doctor_text"] = partial(doctor_text, texts=translations(language))
    made.filters["stored"] = partial(_stored, texts=translations(language))
    made.filters["audit_word"] = partial(audit_word, texts=translations(language))
    made.filters["audit_field"] = partial(audit_field, texts=translations(language))
    made.filters["browser_name"] = partial(browser_name, texts=translations(language))
    made.filters["commands"] = _commands
    made.filters["check_name"] = partial(check_name, texts=translations(language))
    made.filters["check_text"] = partial(check_text, texts=translations(language))
    return made


def _commands(text: str) -> Markup:
    """Return a text in which the commands between backticks are set as code."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  (escaped before)


def _line(text: str | None, most: int = 200) -> str:
    return one_line(text or "", most)


def _stored(text: str | None, most: int = 200, *, texts: NullTranslations) -> str | Markup:
    """Return a stored text as one line in the reader's language. It is cut only after that: of half a text nothing is known."""
    found = stored_text(one_line(text or "", _STORED_MOST), texts)
    if isinstance(found, Markup):  # it cannot be cut
        return found if len(text or "") <= most else stored_text(one_line(text or "", most), texts)
    return shorten(found, most)


@dataclass(frozen=True, slots=True)
class _Query:
    """The address of the page, to make links that change one of its parameters."""

    path: str
    values: Mapping[str, str]

    def __call__(self, **changed: object) -> str:
        """Return the address with some parameters changed; None or empty removes one."""
        kept = {**self.values, **{name: str(value) for name, value in changed.items() if value not in (None, "")}}
        kept = {name: value for name, value in kept.items() if changed.get(name, value) not in (None, "")}
        return f"{self.path}?{urlencode(kept)}" if kept else self.path

    def hidden(self, *names: str) -> Sequence[tuple[str, str]]:
        """Return the parameters other than these, which a form must keep."""
        return [(name, value) for name, value in self.values.items() if name not in names]


def _zone(*names: str | None) -> ZoneInfo:
    for name in names:
        try:
            if name:
                return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")
