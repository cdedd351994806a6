"""Checks the words of the project: one name for one class, and no retired word in code, comments or documents."""

import ast
import re
from collections import Counter

from tests.support.sources import ROOT, Source, project_files, sources

# Words with a private meaning, or out of use, each with the word that replaced it.
RETIRED_WORDS = {
    "told": "a name for what it is: sent, reported, announced",
    "said": "reported, stated, or the name of the value",
    "anew": "again",
    "beside": "next to",
    "nought": "zero",
    "give": "return",
    "gives": "returns",
    "gave": "returned",
    "house": "AppContext, or nothing",
    "doorkeeper": "KeyAuthenticator",
    "doorbell": "Wakeups",
    "bell": "wakeups",
    "rim": "middleware, or error boundary",
    "lane": "outer router",
    "asking": "dependencies",
    "thing_id": "job_id, alert_id ...",
    "telling": "NoticeRequest",
    "story": "AlertView, SummaryView",
    "stories": "AlertView, SummaryView",
    "ledger": "the list of attempts",
    "confessed": "log_errors",
    "confesses": "reports",
    "confession": "log_errors",
}
RETIRED_CLASSES = {
    "House": "AppContext",
    "Unit": "WriteTx",
    "View": "ReadTx",
    "Rim": "a middleware",
    "Doorkeeper": "KeyAuthenticator",
    "Doorbell": "Wakeups",
    "Editable": "a typed module a resource",
    "Readable": "a typed module a resource",
    "Noun": "a typed module a resource",
    "Record": "a typed module a resource",
    "Desk": "RoutingContext",
    "Telling": "NoticeRequest",
    "Told": "AnnouncedRun, SendResult ...",
    "Said": "ToolRequest",
    "Letter": "RenderedMail",
    "Worded": "RenderedMail",
    "Ledger": "the list of attempts",
    "Confession": "LogErrors",
}
# JSON names of the wire format. They stay, as relays of an older version are still in use; they are allowed only in quotes.
WIRE_FIELDS = ('"said"',)
# `thing_id` is a column and a JSON field of the audit log, which stays as it is, also as a name in Python.
FIXED_NAMES = {
    "bench/measures.py": {"Give"},  # it counts the docstrings that begin with this word
    "tests/conftest.py": {"house"},  # the folder tests/house
    "tests/contract/test_openapi.py": {"thing_id"},
    "tests/flow/admin/test_alerts_and_messages.py": {"thing_id"},
    "tests/flow/admin/test_confirm_expectations.py": {"thing_id"},
    "tests/flow/admin/test_editing.py": {"thing_id"},
    "tests/flow/admin/test_keys_and_audit.py": {"thing_id"},
    "tests/flow/admin/test_resource_rules.py": {"thing_id"},
    "tests/flow/admin/test_set_aside_events.py": {"thing_id"},
    "tests/house/test_schema.py": {"said"},  # a column
    "app/domain/audit_entry.py": {"thing_id"},
    "app/http/api/audit.py": {"thing_id"},
    "app/http/pages/service_audit.py": {"thing_id"},
    "app/http/pages/templates/service_audit.html": {"thing_id"},
    "app/store/edits.py": {"thing_id"},
    "app/store/tables_managed.py": {"thing_id"},
}
CHECKED = ("app/", "programs/", "tests/", "bench/", "docs/", "README.md", "CHANGELOG.md")
# Places whose words are not ours, or that have to name the retired words.
EXCEPTED = (
    "tests/corpus/",  # requests as tools sent them, and the answers and events expected for them
    "app/intake/language/words/",  # other people's words, and what they mean
    "tests/unit/intake/language/cases/",  # texts as tools and administrators write them
    "tests/house/test_words.py",  # the list of the retired words
)
_TEXT = (".py", ".md", ".sql", ".j2", ".html", ".txt", ".css", ".tsv")
_WORD = re.compile(r"\b(" + "|".join(RETIRED_WORDS) + r")\b", re.IGNORECASE)


def _without_wire_fields(line: str) -> str:
    for field in WIRE_FIELDS:
        line = line.replace(field, "")
    return line


def _classes(source: Source) -> list[str]:
    return [node.name for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]


def test_no_retired_word_is_used():
    found = [
        f"{name}:{number}: {match[0]} (use: {RETIRED_WORDS[match[0].lower()]})"
        for path in project_files()
        if (name := str(path.relative_to(ROOT))).startswith(CHECKED)
        and not name.startswith(EXCEPTED)
        and path.suffix in _TEXT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for match in _WORD.finditer(_without_wire_fields(line))
        if match[0] not in FIXED_NAMES.get(name, ())
    ]
    assert not found


def test_no_name_of_a_function_of_the_tests_has_a_retired_word():
    found = [
        f"{source.name}: {function.name}"
        for source in sources("tests", "bench")
        for function in source.functions()
        if RETIRED_WORDS.keys() & set(function.name.split("_"))
    ]
    assert not found


def test_no_retired_class_is_defined():
    found = [
        f"{source.name}: {name} (use: {RETIRED_CLASSES[name]})"
        for source in sources("app", "programs", "tests", "bench")
        for name in _classes(source)
        if name in RETIRED_CLASSES
    ]
    assert not found


def test_a_class_name_exists_once():
    counts = Counter(name for source in sources("app", "programs") for name in _classes(source))
    found = [
        f"{source.name}: {name}"
        for source in sources("app", "programs")
        for name in _classes(source)
        if counts[name] > 1
    ]
    assert not found
