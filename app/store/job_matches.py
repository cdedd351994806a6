"""Matchers as SQL, for summaries that cover a hundred thousand jobs. It must mean the same as domain/matcher.py."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, literal, not_, true

from app.domain.matcher import Comparison, Matcher
from app.store.tables import agents, customers, jobs


def job_matches(customer_id: str | None, matchers: Sequence[Matcher]) -> ColumnElement[bool]:
    """Give the condition on jobs joined with their agents and customers."""
    conditions: list[ColumnElement[bool]] = [_condition(matcher) for matcher in matchers]
    if customer_id is not None:
        conditions.append(jobs.c.customer_id == customer_id)
    return and_(true(), *conditions)


def _condition(matcher: Matcher) -> ColumnElement[bool]:
    wanted = matcher.value.lower()
    found = _lower(_value(matcher.field), wanted)
    match matcher.test:
        case Comparison.IS:
            return found == wanted
        case Comparison.IS_NOT:
            return found != wanted
        case Comparison.LIKE:
            return found.like(_pattern(wanted), escape="\\")
        case Comparison.NOT_LIKE:
            return not_(found.like(_pattern(wanted), escape="\\"))


def _lower(found: ColumnElement[str], wanted: str) -> ColumnElement[str]:
    """Give `found` in small letters, as far as that can matter beside `wanted`.

    SQLite's lower() knows ASCII only, and so does PostgreSQL's in a database of the locale C. Other letters are made small one by one.
    """
    small: ColumnElement[str] = func.lower(found)
    for letter in sorted({letter for letter in wanted if not letter.isascii() and letter.upper() != letter}):
        small = func.replace(small, letter.upper(), letter)
    return small


def _value(field: str) -> ColumnElement[str]:
    plain = {
        "customer": customers.c.name,
        "agent": agents.c.name,
        "job": jobs.c.name,
        "activity": jobs.c.activity,
        "message": func.coalesce(jobs.c.last_message, ""),
    }
    if field in plain:
        return plain[field]
    if field.startswith("label:"):
        name = field.removeprefix("label:")
        return func.coalesce(jobs.c.labels[name].as_string(), agents.c.labels[name].as_string(), "")
    return literal("")  # kind and severity belong to alerts, not to jobs


def _pattern(glob: str) -> str:
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
