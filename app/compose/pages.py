"""Renders the templates to text and HTML and keeps them within a mail's size. It must not decide what is told.

CSS is inlined after rendering, for mail programs that drop style sheets; measured at 3 ms for 100 KB, so it needs no cache.
Nothing is ever loaded from outside.
"""

import re
from collections.abc import Callable, Sequence

import css_inline
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

# Gmail cuts an HTML part off at 102 KB. The text part shares the mail, which many servers bound far above these two.
HTML_LIMIT, TEXT_LIMIT = 96_000, 40_000

_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
_SPACES = re.compile("^ | (?= )")
_MANY_LINES = re.compile(r"\n{3,}")


def log_html(lines: Sequence[str]) -> Markup:
    """Join a log's lines for HTML. Not `<pre>`: Outlook does not wrap it, and one long line would make the mail unreadable on a phone."""
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


def html_page(template: str, **told: object) -> str:
    """Render an HTML part, its CSS inlined."""
    return _INLINER.inline(_TEMPLATES.get_template(template).render(told))


def text_page(template: str, **told: object) -> str:
    """Render a text part: no line ends in spaces, no more than one empty line in a row."""
    rendered = _TEMPLATES.get_template(template).render(told)
    lines = "\n".join(line.rstrip() for line in rendered.splitlines())
    return _MANY_LINES.sub("\n\n", lines).strip("\n") + "\n"


def fit(render: Callable[[float], str], limit: int) -> str:
    """Render whole, or as much as fits into `limit` bytes, found by halving. At scale 0 a page must say no more than counts."""
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
