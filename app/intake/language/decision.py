"""Decide what the statements of a text mean together: trouble decides, and a success counts only if nothing contradicts it."""

from collections import Counter
from collections.abc import Iterable, Sequence

from app.intake.language.findings import Finding, Statement
from app.intake.language.reading import Meaning, Reading

_SUBJECT = 0
_BAD = (Finding.FAILED, Finding.NAMED_TROUBLE, Finding.STALE, Finding.WARNED, Finding.PARTIAL)
_GOOD = (Finding.SUCCEEDED, Finding.EXIT_ZERO)
_STATED = (*_GOOD, Finding.WENT_WELL)


def decide(statements: Sequence[Statement], *, complete: bool, bare: bool = False) -> Reading:
    """Return what a text means.

    `complete`: all lines with words of trouble were read. `bare`: the text is only a result and a name, such as "Photos completed".
    """
    if not statements:
        return Reading(Meaning.UNCLEAR, "", "no words found")
    about_no_run = _first(_in_subject(statements), Finding.NOT_A_RUN)
    if about_no_run is not None:
        return Reading(Meaning.UNCLEAR, about_no_run.words, f"not about a run: {about_no_run.rule}")
    return (
        _decide_trouble(statements) or _suspect(statements) or _decide_success(statements, complete=complete, bare=bare)
    )


def _suspect(statements: Sequence[Statement]) -> Reading | None:
    """Return a failure for a text such as "the disk does not appear" that states nothing else: a failure may be suspected."""
    missing = _first(statements, Finding.MISSING)
    if missing is not None and not any(one.finding in _STATED for one in statements):
        return _from(Meaning.FAILURE, missing)
    denied = _first(statements, Finding.UNKNOWN_DENIED)
    if denied is None or any(one.finding in _SPEAKS_AGAINST_SUSPICION for one in statements):
        return None
    return _from(Meaning.FAILURE, denied)


_SPEAKS_AGAINST_SUSPICION = frozenset(
    (
        *_STATED,
        Finding.GUESSED,
        Finding.FIXED,
        Finding.DENIED,
        Finding.STARTED,
        Finding.ENDED,
        Finding.DOUBT,
        Finding.NOT_A_RUN,
        Finding.OTHER_WORK,
        Finding.COMPLETE,
    )
)


def _decide_trouble(statements: Sequence[Statement]) -> Reading | None:
    open_ones = _without_fixed(statements)
    if _title_is_denied(open_ones):
        open_ones = [one for one in open_ones if one.line != _SUBJECT or one.finding is not Finding.NAMED_TROUBLE]
    cancelled = _first(open_ones, Finding.CANCELLED)
    warned = _first(open_ones, Finding.WARNED)
    for finding in (Finding.FAILED, Finding.NAMED_TROUBLE):
        failed = _first(open_ones, finding)
        if (
            failed is not None
            and warned is not None
            and failed.rule.startswith("exit code")
            and failed.line == warned.line
        ):
            return _from(Meaning.WARNING, warned)
        if failed is not None:
            return _from(Meaning.FAILURE, failed)
    if cancelled is not None:
        return _from(Meaning.CANCELLED, cancelled)
    stale = _first(open_ones, Finding.STALE)
    if stale is not None:
        fresh = [
            one for one in open_ones if one.finding in _STATED and (one.line, one.clause) != (stale.line, stale.clause)
        ]
        return _disagree(fresh[0]) if fresh else _from(Meaning.FAILURE, stale)
    return _from(Meaning.WARNING, warned) if warned is not None else _decide_partial(open_ones)


def _decide_partial(statements: Sequence[Statement]) -> Reading | None:
    """Return a warning for a success with an exception, and a failure if a count is zero and nothing else was done."""
    partial, nothing = _first(statements, Finding.PARTIAL), _first(statements, Finding.NOTHING_DONE)
    findings = {one.finding for one in statements}
    if partial is not None:
        done = findings & {*_STATED, Finding.ENDED, Finding.COMPLETE, Finding.MADE, Finding.THING}
        return _from(Meaning.WARNING, partial) if done else Reading(Meaning.UNCLEAR, partial.words, partial.rule)
    if nothing is not None:
        return _from(Meaning.WARNING if findings & set(_STATED) else Meaning.FAILURE, nothing)
    none_made = _first(statements, Finding.NOTHING_MADE)
    if none_made is not None:
        elsewhere = any(
            one.finding in _STATED and (one.line, one.clause) != (none_made.line, none_made.clause)
            for one in statements
        )
        return _disagree(none_made) if elsewhere else _from(Meaning.FAILURE, none_made)
    return None


_DOUBTS = (Finding.DOUBT, Finding.MISSING, Finding.UNKNOWN_DENIED, Finding.NOT_A_RUN, Finding.OTHER_WORK)


def _decide_success(statements: Sequence[Statement], *, complete: bool, bare: bool) -> Reading:
    started = _first(statements, Finding.STARTED)
    proof = _proof(statements, bare=bare)
    if proof is not None:
        against = _against(proof, statements)
        if against is not None and against.finding is Finding.STARTED:
            return _from(Meaning.STARTED, against)
        if against is not None:
            return Reading(Meaning.UNCLEAR, against.words, f"not proven: {against.rule}")
        if not complete:
            rule = "not proven: too many lines with words of trouble to read them all"
            return Reading(Meaning.UNCLEAR, proof.words, rule)
        return _from(Meaning.SUCCESS, proof)
    if started is not None:
        return _from(Meaning.STARTED, started)
    first = statements[0]
    return Reading(Meaning.UNCLEAR, first.words, f"nothing stated: {first.rule}")


def _proof(statements: Sequence[Statement], *, bare: bool) -> Statement | None:
    """Return the statement that proves a success unless another contradicts it; None if there is none."""
    findings = {one.finding for one in statements}
    usable = set(_STATED) if bare or findings & _PARTNERS else set(_GOOD)
    good = _without_items([one for one in statements if one.finding in usable])
    if not good and findings & {Finding.MADE, Finding.DENIED, Finding.ALL}:
        good = [one for one in statements if one.finding is Finding.GUESSED]
    if not good and Finding.ENDED in findings:
        good = [one for one in statements if one.finding is Finding.COMPLETE]
    if good:
        return good[0]
    if findings & (_PARTNERS | set(_BAD)) and Finding.FIXED in findings:
        return _first(statements, Finding.FIXED)
    return _first(statements, Finding.DENIED) if _denial_proves(statements) else None


# What shows that a text is about a run, so that a general word of success proves one: not in "your parcel has arrived".
_PARTNERS = frozenset(
    (*_GOOD, Finding.MADE, Finding.ALL, Finding.COMPLETE, Finding.DENIED, Finding.ABOUT_RUN, Finding.NOTHING_MADE)
)


def _against(proof: Statement, statements: Sequence[Statement]) -> Statement | None:
    """Return what contradicts a success: a doubt in its own line or in the first lines of the text, or a subject that announces a start."""
    for doubt in statements:
        if doubt.finding in (Finding.MISSING, Finding.UNREAD_ROW):
            return doubt
        if doubt.finding in (Finding.UNKNOWN_PART, Finding.CONDITIONAL) and doubt.line == proof.line:
            return doubt
        top = _TOP if doubt.finding in (Finding.DOUBT, Finding.UNKNOWN_DENIED) else _SUBJECT
        if doubt.finding in _DOUBTS and (doubt.line <= top or doubt.line == proof.line):
            return doubt
    same = [one for one in statements if (one.line, one.clause) == (proof.line, proof.clause)]
    last = next((one for one in reversed(same) if one.finding in (*_STATED, Finding.ENDED, Finding.STARTED)), proof)
    if last.finding is Finding.STARTED:
        return last  # "connected well, starting the copy"
    subject = _in_subject(statements)
    started = _first(subject, Finding.STARTED)
    return started if started is not None and not any(one.finding in _STATED for one in subject) else None


_TOP = 3  # lines; below them are footers, and logs whose result is stated elsewhere


def _without_fixed(statements: Sequence[Statement]) -> list[Statement]:
    """Return the statements without trouble that the same line reports as fixed."""
    fixed = {}
    for one in statements:
        if one.finding is Finding.FIXED:
            fixed[one.line] = one.clause
    return [one for one in statements if one.finding not in _BAD or one.clause > fixed.get(one.line, -1)]


def _title_is_denied(statements: Sequence[Statement]) -> bool:
    """Return whether a subject that only names trouble ("failure report") has a body that denies trouble or reports all done."""
    body = [one.finding for one in statements if one.line != _SUBJECT]
    subject = [one.finding for one in statements if one.line == _SUBJECT]
    if Finding.FAILED in subject or any(
        finding in body for finding in (*_BAD, Finding.CANCELLED, Finding.NOTHING_DONE)
    ):
        return False
    proven = Finding.SUCCEEDED in body and (Finding.ALL in body or Finding.DENIED in body)
    return proven or (Finding.DENIED in body and (Finding.MADE in body or Finding.COMPLETE in body))


def _denial_proves(statements: Sequence[Statement]) -> bool:
    findings = [one.finding for one in statements]
    return findings.count(Finding.DENIED) > 1 or (
        Finding.DENIED in findings
        and any(one in findings for one in (Finding.MADE, Finding.COMPLETE, Finding.ALL, Finding.ENDED))
    )


def _without_items(good: Sequence[Statement]) -> list[Statement]:
    """Return the statements of success without those about single files: many lines "copied FILE" are progress, not the result."""
    counts = Counter(one.rule for one in good if one.line != _SUBJECT and _begins_with_its_word(one))
    return [one for one in good if counts[one.rule] <= _MOST_VERDICTS or not _begins_with_its_word(one)]


def _begins_with_its_word(one: Statement) -> bool:
    term = one.rule.partition(": ")[2].rstrip("*")
    return one.line != _SUBJECT and one.words.lstrip("-*+•. \t").lower().startswith(term)


_MOST_VERDICTS = 5


def _in_subject(statements: Iterable[Statement]) -> list[Statement]:
    return [one for one in statements if one.line == _SUBJECT]


def _first(statements: Iterable[Statement], finding: Finding) -> Statement | None:
    return next((one for one in statements if one.finding is finding), None)


def _from(meaning: Meaning, statement: Statement) -> Reading:
    return Reading(meaning, statement.words, statement.rule)


def _disagree(statement: Statement) -> Reading:
    return Reading(Meaning.UNCLEAR, statement.words, "two statements disagree")
