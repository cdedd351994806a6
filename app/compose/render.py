"""Renders the templates to text and HTML, and keeps both within the size of a mail.

CSS is inlined, for mail programs that drop style sheets. Each rule of `style.css` is for one class, so the style of an element depends on
its classes alone and is found once for all mails. Nothing is ever loaded from outside.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import css_inline
from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError, select_autoescape
from jinja2.filters import do_wordwrap
from markupsafe import Markup, escape

from app.core.log import log

# Gmail cuts off an HTML part at 102 KB. Many servers limit the size of the whole mail, but far above both limits together.
HTML_LIMIT, TEXT_LIMIT = 96_000, 40_000

_STYLE = files("app.compose").joinpath("templates/style.css").read_text("utf-8")
# In rendered HTML only the templates have such attributes: a quote in text from outside is written as an entity.
_CLASSES = re.compile('class="([^"]*)"')
_SPACES = re.compile("^ | (?= )")
_MANY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """The content of a mail before it is addressed: the same as text and as HTML. `headers` are added to those of every mail."""

    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...] = ()


def log_html(lines: Sequence[str]) -> Markup:
    """Join a log's lines for HTML. Not in `<pre>`: Outlook does not wrap it, and one long line would make the mail unreadable on a phone."""
    return Markup("<br>").join(Markup(_SPACES.sub("&nbsp;", str(escape(line)))) for line in lines)  # noqa: S704  (escaped just here)


_TEMPLATES = Environment(
    loader=PackageLoader("app.compose", "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.filters["log_html"] = log_html


@lru_cache(maxsize=200)
def wrapped(text: str) -> str:
    """Break a text into lines of a text part. Kept, as thousands of mails have the same hints: to break one takes a third of such a part's time."""
    return do_wordwrap(_TEMPLATES, text, 70, wrapstring="\n")


_TEMPLATES.filters["wrapped"] = wrapped


def load_templates() -> Iterator[None]:
    """Load what the first mail would load, one template at each step."""
    for name in ("alert.html", "alert.txt", "summary.html", "summary.txt"):
        try:
            _TEMPLATES.get_template(name)
        except TemplateError as broken:  # whatever needs it says so, and is sent all the same
            log.debug("a template cannot be loaded", template=name, cause=str(broken))
        yield


def html_page(template: str, **values: object) -> str:
    """Render an HTML part with inlined CSS. In the templates, an element with a class has no style of its own."""
    page = _TEMPLATES.get_template(template).render(values)
    return _CLASSES.sub(lambda found: _with_style(found[1]), page)


@cache
def _with_style(classes: str) -> str:
    """Return the attributes of an element of these classes."""
    inlined = css_inline.inline_fragment(f'<p class="{classes}"></p>', _STYLE, load_remote_stylesheets=False)
    return inlined.removeprefix("<p ").removesuffix("></p>")


def text_page(template: str, **values: object) -> str:
    """Render a text part without trailing spaces and with at most one empty line in a row."""
    rendered = _TEMPLATES.get_template(template).render(values)
    lines = "\n".join(line.rstrip() for line in rendered.splitlines())
    return _MANY_LINES.sub("\n\n", lines).strip("\n") + "\n"


def fit(render: Callable[[float], str], limit: int) -> str:
    """Render everything, or as much as fits into `limit` bytes, found by bisection. At scale 0 the page must hold only counts."""
    page = render(1.0)
    if len(page.encode()) <= limit:
        return page
    best, small, large = render(0.0), 0.0, 1.0
    for _ in range(6):
        scale = (small + large) / 2
        page = render(scale)
        if len(page.encode()) <= limit:
            best, small = page, scale
        else:
            large = scale
    return best
