"""Checks the rules of the code: sizes, module docstrings, names, where any error is caught, and where the environment is read."""

import ast
from collections.abc import Iterator

from tests.support.sources import Function, Source, parts_of, sources

FILE_LINES, FUNCTION_LINES = 500, 60
VAGUE_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "manager",
    "managers",
    "handler",
    "handlers",
    "base_class",
}
# Words of WORDS.md's "not" column that can mean nothing else in our code. The others (report, queue, lock, client ...) also
# mean things that are ours, Python's or a protocol's, and are not checked.
OTHER_WORDS = {
    "tenant": "customer",
    "org": "customer",
    "organisation": "customer",
    "organization": "customer",
    "incident": "alert",
    "policy": "rule or route",
    "snooze": "silence",
    "blackout": "window",
    "contact": "recipient",
    "subscription": "route",
    "notification": "notice",
    "digest": "summary",
    "channel": "transport",
    "ping": "event",
    "callback": "receipt",
    "execution": "run",
    "backupset": "job",
}
# Where any error at all may be caught, and why. Everywhere else an error is caught by name.
BOUNDARIES = {
    "app/cli/worker_process.py": "the boundary of a process: whatever ends the worker is logged, and the server starts it again",
    "app/core/periodic.py": "the boundary of a tick: logged, counted, tried again",
    "app/decide/tick.py": "the boundary of a tick: one bad event is set aside and must not stop the line",
    "app/decide/missed.py": "the boundary of one job: an expectation that cannot be judged must not keep the others unjudged",
    "app/decide/learn.py": "the boundary of one job: a cadence that cannot be learned must not keep the others unlearned",
    "app/decide/summaries.py": "the boundary of one schedule: one that cannot be read must not keep the others waiting",
    "app/compose/tick.py": "the boundary of one group: a notice that cannot be rendered must not stop the others",
    "app/compose/refresh.py": "the boundary of one address: without their refresh, other Alertmanagers would end their alerts",
    "app/deliver/delivery_loop.py": "the boundary of one attempt: whatever a transport or the database does, the attempt has an end",
    "app/deliver/mailbox.py": "the boundary of a connection: whatever a mail server answers, the mailbox is read again later",
    "app/admin/follow_ups.py": "the boundary of one follow-up: one that cannot be done must not stop the others",
    "app/deliver/returned.py": "the boundary of one mail that came back: it must not keep the others from being read",
    "app/http/auth.py": "the boundary of one read of keys: each of those who asked raises what it raised",
    "app/intake/commit.py": "the boundary of every request that waits for this commit: one's fault must not fail another's",
    "app/intake/accept.py": "the boundary of one dialect: a bug in a dialect must not lose the tool's request",
    "programs/monitoring/check_tocsin.py": "the boundary of a check: Python would exit with 1, which monitoring systems take for WARNING",
    "app/http/middleware.py": "the boundary of a request: logged, answered with 500",
    "app/intake/body.py": "no boundary: what the event loop throws into a wait is passed on to the coroutine that waits",
    "app/http/health.py": "the boundary of /readyz: whatever the database does, the answer says so",
    "app/http/heartbeat.py": "the boundary of a heartbeat: whatever the pipeline does, the service outside hears of it",
    "programs/relay/child.py": "the boundary of the relay's child: whatever a mail client does, the parent hears how it ended",
    "programs/relay/loop.py": "the boundary of a relay's thread: one that ended in silence would leave mail unsent",
    "programs/reporter/running.py": "the boundary of the reporter: no defect of ours may reach the backup",
    "app/main.py": "the boundary of the worker inside the server: intake stays open whatever happens to it",
}


def test_files_are_short():
    too_long = {
        source.name: source.lines
        for source in sources("app", "programs", "tests", "bench")
        if source.lines > FILE_LINES
    }
    assert not too_long


def test_functions_are_short():
    too_long = {
        f"{source.name}: {function.name}": lines
        for source in sources("app", "programs")
        for function in source.functions()
        if (lines := _lines_of(function)) > FUNCTION_LINES
    }
    assert not too_long


def test_every_file_has_a_module_docstring():
    silent = [
        s.name
        for s in sources("app", "programs", "tests", "bench", "migrations")
        if s.text.strip() and not ast.get_docstring(s.tree) and not _is_revision(s)
    ]
    assert not silent


def test_no_file_has_a_vague_name():
    named = [
        s.name
        for s in sources("app", "programs", "tests", "bench", "migrations")
        if VAGUE_NAMES & set(s.name.removesuffix(".py").split("/"))
    ]
    assert not named


def test_names_use_the_words_of_the_glossary():
    found = [
        f"{source.name}: {name} (use: {OTHER_WORDS[part]})"
        for source in sources("app", "programs")
        for name in _names(source)
        for part in parts_of(name)
        if part in OTHER_WORDS
    ]
    assert not found


def test_any_error_is_caught_only_at_a_boundary():
    caught = {f"{s.name}:{node.lineno}": s.name for s in sources("app", "programs", "migrations") for node in _broad(s)}
    assert not [place for place, name in caught.items() if name not in BOUNDARIES]
    assert BOUNDARIES.keys() <= set(caught.values()), (
        "a boundary that catches nothing any more is to be taken off the list"
    )


def test_no_endpoint_reads_a_form_before_it_asks_who_sent_it():
    """FastAPI reads the body of an endpoint with `Form()` or `File()` first, however large it is; pages read theirs in session.py."""
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources("app")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("Form", "File")
    ]
    assert not found


def test_only_the_settings_read_the_environment():
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources("app", "programs")
        if source.name
        not in (
            "app/core/settings.py",
            "app/core/config_file.py",
            "programs/relay/settings.py",
            "programs/reporter/settings.py",  # these two know nothing of ours
            "programs/protocol/http_client.py",  # only whether a proxy may be named: urllib reads which, and takes long to load
        )
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
    ]
    assert not found


def _lines_of(function: Function) -> int:
    """Count from `def` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _is_revision(source: Source) -> bool:
    """Return whether it is a migration: its file name already describes it."""
    return source.name.startswith("migrations/versions/")


def _names(source: Source) -> Iterator[str]:
    yield from source.name.removesuffix(".py").split("/")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def _broad(source: Source) -> Iterator[ast.ExceptHandler]:
    """Yield handlers that catch any error, except those that only clean up and raise it again."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {kind.id if isinstance(kind, ast.Name) else None for kind in caught}
        is_anything = node.type is None or bool({"Exception", "BaseException"} & names)
        last = node.body[-1]
        raises_again = isinstance(last, ast.Raise) and last.exc is None
        if is_anything and not raises_again:
            yield node


def test_no_number_is_recognised_by_isdigit():
    """`str.isdigit` is true for digits such as those of powers, which `int` and `float` refuse. `isdecimal` is what they read."""
    assert [source.name for source in sources("app", "programs") if ".isdigit()" in source.text] == []
