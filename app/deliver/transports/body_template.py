"""Renders the body of a webhook by a template of its owner: Jinja in a sandbox, without calls, with loops of two levels at most.

The template must make JSON: each value must pass `tojson`, so that no text of an event can end a string. Size and time are bounded, the time
by a limit that each step of a loop looks at: a loop over the letters of a long text would otherwise hold up all messages.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import ChainableUndefined, TemplateError, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

LONGEST, _MOST_BYTES, _DEEPEST_LOOP = 4_000, 1_000_000, 2
_MOST_S = 0.5  # of the processor
_STEPS, _UNTIL = "steps of a loop", "until when it may run"  # no template can write these names
_FILTERS = ("tojson", "length", "upper", "lower", "trim", "default", "first", "last")
_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Filter, nodes.Name, nodes.Getattr),
    *(nodes.Getitem, nodes.Const, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr),
    *(nodes.Concat, nodes.Test, nodes.Keyword),
)


class BadTemplate(ValueError):
    """A template that is not accepted, or that fails for this message."""


def _only_json(value: object) -> object:
    if not isinstance(value, Markup):
        raise BadTemplate("each value must pass the filter tojson, as in {{ data.subject | tojson }}")
    return value


def _dumps(value: object, **how: Any) -> str:  # noqa: ANN401  (as json.dumps)
    """Return JSON; what the document does not have is null: a summary has no alerts, and a test no subject."""
    return json.dumps(value, default=lambda _: None, **how)


@pass_context
def _steps(context: Context, items: Iterable[object]) -> Iterator[object]:
    """Yield the items of a loop while there is time."""
    until = context.resolve(_UNTIL)
    for item in items:
        if time.thread_time() > until:
            raise BadTemplate(f"the template takes longer than {_MOST_S:g} s")
        yield item


_environment = ImmutableSandboxedEnvironment(autoescape=False, finalize=_only_json, undefined=ChainableUndefined)
_environment.policies["json.dumps_function"] = _dumps
_environment.filters = {name: _environment.filters[name] for name in _FILTERS} | {_STEPS: _steps}
_environment.globals = {"loop": None}


def render_body(template: str, document: Mapping[str, Any]) -> bytes:
    """Return the body. The template sees `type`, `timestamp` and `data` of the document. Raises BadTemplate."""
    if len(template) > LONGEST:
        raise BadTemplate(f"the template is longer than {LONGEST} characters")
    try:
        parsed = _environment.parse(template)
        _check(parsed, 0)
        for loop in parsed.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _STEPS, [], [], None, None, lineno=loop.lineno)
        made, size = [], 0
        values = {name: document[name] for name in ("type", "timestamp", "data")}
        for part in _environment.from_string(parsed).generate({**values, _UNTIL: time.thread_time() + _MOST_S}):
            size += len(part)
            if size > _MOST_BYTES:
                raise BadTemplate(f"the body is longer than {_MOST_BYTES} characters")
            made.append(part)
        body = "".join(made)
        json.loads(body)
    except TemplateError as cause:
        raise BadTemplate(str(cause)[:200]) from cause
    except ValueError as cause:
        raise cause if isinstance(cause, BadTemplate) else BadTemplate(f"the body is not JSON: {cause}") from cause
    except (TypeError, RecursionError, ArithmeticError, LookupError) as cause:
        raise BadTemplate(f"the template fails: {cause}"[:200]) from cause
    return body.encode("utf-8", "replace")


def _check(node: nodes.Node, loops: int) -> None:
    if not isinstance(node, _NODES):
        raise BadTemplate(f"a template may not use {type(node).__name__}")
    if isinstance(node, nodes.For):
        loops += 1
        if loops > _DEEPEST_LOOP or node.recursive:
            raise BadTemplate(f"loops may be nested {_DEEPEST_LOOP} deep")
    for child in node.iter_child_nodes():
        _check(child, loops)
