"""What the reporter reads in the output of real tools, recorded in tests/corpus/stdout, and what it makes of bytes that are nothing."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from programs.reporter.capture import OutputCapture, decode_output
from programs.reporter.command import CommandEnd
from programs.reporter.outcome import judge
from programs.reporter.readings import borg, rclone, restic, rsync
from programs.reporter.readings.read import log_of, read
from programs.reporter.readings.reading import OutputReading, amount
from programs.reporter.tools import BackupTool, tool_of
from tests.support.sources import ROOT

RECORDED = ROOT / "tests/corpus/stdout"
NOT_READ = "Permission denied: 'secret.txt'"
# recording: (exit code, outcome, some of the metrics, a part of the message)
TABLE = {
    "restic-0.14.0-backup-first": (0, "success", {"bytes_processed": 3192011, "bytes_stored": 3198160, "files_processed": 11}, "7c88e7bb"),
    "restic-0.14.0-backup-no-such-source": (0, "warning", {"files_processed": 11, "files_failed": 1}, "/no/such/folder does not exist"),
    "restic-0.14.0-backup-partial": (3, "warning", {"files_failed": 2}, "could not read /backup-test/part/closed"),
    "restic-0.14.0-backup-partial-plain": (3, "warning", {"files_processed": 1, "files_failed": 2}, "permission denied"),
    "restic-0.14.0-fail-wrong-password": (1, "failure", {}, "wrong password or no key found"),
    "restic-0.18.0-backup-first": (0, "success", {"bytes_processed": 4692011, "bytes_stored": 4628304}, "snapshot 8bb3fa82 saved"),
    "restic-0.18.0-backup-partial": (3, "warning", {"files_processed": 1, "files_failed": 2}, "permission denied"),
    "restic-0.18.0-backup-partial-plain": (3, "warning", {"bytes_stored": 289, "files_failed": 2}, "permission denied"),
    "restic-0.18.0-backup-plain": (0, "success", {"bytes_processed": 6191841, "files_processed": 11}, "snapshot 7d1efc9b saved"),
    "restic-0.18.0-fail-disk-full": (1, "failure", {}, "no space left on device"),
    "restic-0.18.0-fail-wrong-password": (12, "failure", {}, "exit code 12: Fatal: wrong password"),
    "restic-0.18.0-forget-prune": (0, "success", {}, "exit code 0"),
    "restic-0.19.1-backup-changed": (0, "success", {"files_new": 0, "files_changed": 1}, "snapshot 6708fc4f saved"),
    "borg-1.2.4-create-first": (0, "success", {"bytes_processed": 7692628, "bytes_stored": 7646256, "files_processed": 11}, "archive nas01"),
    "borg-1.2.4-create-partial": (1, "warning", {"files_failed": 2}, NOT_READ),
    "borg-1.2.4-create-plain": (0, "success", {}, "exit code 0"),
    "borg-1.4.5-create-first": (0, "success", {"bytes_processed": 7692011, "bytes_stored": 7645582}, "archive nas01"),
    "borg-1.4.5-create-partial-modern": (107, "warning", {"files_processed": 1, "files_failed": 2}, NOT_READ),
    "borg-1.4.5-create-no-such-source": (1, "warning", {"files_failed": 1}, "No such file or directory"),
    "borg-1.4.5-fail-locked": (2, "failure", {}, "Failed to create/acquire the lock"),
    "borg-1.4.5-fail-wrong-passphrase": (2, "failure", {}, "is incorrect"),
    "borg-1.4.5-create-damaged": (0, "success", {"bytes_processed": 7692011}, "archive x"),
    "rclone-1.60.1-DEV-sync-success": (0, "success", {"bytes_stored": 7692011, "files_transferred": 11}, "exit code 0"),
    "rclone-1.60.1-DEV-sync-partial": (1, "failure", {"files_transferred": 1, "errors": 2}, "permission denied"),
    "rclone-1.75.2-sync-success": (0, "success", {"bytes_stored": 7692011, "files_transferred": 11}, "exit code 0"),
    "rclone-1.75.2-sync-partial": (1, "failure", {"files_transferred": 1, "errors": 2}, "permission denied"),
    "rclone-1.75.2-sync-no-source": (3, "failure", {"errors": 1}, "directory not found"),
    "rclone-1.75.2-sync-unchanged": (0, "success", {"files_transferred": 0, "files_checked": 11}, "exit code 0"),
    "rsync-3.5.0-stats": (0, "success", {"files_processed": 3, "bytes_processed": 300000, "bytes_stored": 300000}, "exit code 0"),
    "rsync-3.5.0-stats-short": (0, "success", {"files_processed": 3, "bytes_processed": 292970}, "exit code 0"),
    "rsync-3.5.0-no-source": (23, "failure", {"files_transferred": 0}, "No such file or directory"),
}  # fmt: skip


def recorded(name: str) -> OutputCapture:
    capture = OutputCapture()
    for stream in ("out", "err"):
        path = RECORDED / f"{name}.{stream}"
        capture.feed(stream, path.read_bytes() if path.exists() else b"")
    return capture


def test_every_recording_is_in_the_table():
    assert {path.name.rpartition(".")[0] for path in RECORDED.iterdir()} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("is_script", [False, True], ids=["the tool", "a script that runs it"])
def test_a_recording_is_read(name: str, *, is_script: bool):
    code, outcome, metrics, words = TABLE[name]
    tool = BackupTool(name.partition("-")[0], name.partition("-")[0])
    reading = read(BackupTool("backup.sh") if is_script else tool, decode_output(recorded(name).parts()))
    judged = judge(tool, CommandEnd(code), reading)
    assert judged.outcome == outcome
    assert metrics.items() <= reading.metrics.items()
    assert words in judged.message
    assert "\n" not in judged.message


def test_the_log_holds_no_line_of_restic_s_progress():
    seen = decode_output(recorded("restic-0.18.0-backup-first").parts())
    assert '"status"' in seen.log
    assert '"status"' not in log_of(seen)
    assert '"summary"' in log_of(seen)


@pytest.mark.parametrize(
    ("word", "value"),
    [("1,234,567", 1234567), ("1.234.567", 1234567), ("12", 12), ("300.00K", 300000), ("1,23G", 1.23e9), ("5.905 MiB", 6191841.28),
     ("351 B", 351), ("1'234", 1234), ("x", None), ("", None), ("-1", None), ("9" * 40, None), ("1.2.3K", None)],
)  # fmt: skip
def test_amounts_are_read_in_any_format(word: str, value: float | None):
    assert amount(word) == (value if value is None else pytest.approx(value))


PIECES = st.sampled_from([path.read_bytes() for path in sorted(RECORDED.iterdir())])
BROKEN = st.tuples(PIECES, st.integers(0, 3000), st.binary(max_size=50)).map(
    lambda one: one[0][: one[1]] + one[2] + one[0][one[1] :]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SHAPED = st.fixed_dictionaries(
    {"message_type": st.sampled_from(["summary", "error", "exit_error"]), "files_new": JSON},
    optional=dict.fromkeys(("error", "item", "message", "data_added", "snapshot_id", "archive", "stats", "level", "msg", "levelname"), JSON),
).map(lambda one: json.dumps(one).encode())  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(out=st.binary(max_size=500) | BROKEN | SHAPED, err=st.binary(max_size=500) | BROKEN | SHAPED)
def test_any_bytes_result_in_a_reading_and_never_in_an_error(out: bytes, err: bytes):
    capture = OutputCapture()
    capture.feed("out", out)
    capture.feed("err", err)
    seen = decode_output(capture.parts())
    for reading in [
        read(BackupTool("script"), seen),
        *(one.read(seen.out, seen.err) for one in (borg, rclone, restic, rsync)),
    ]:
        assert all(math.isfinite(value) and 0 <= value < 2**63 for value in reading.metrics.values())
        assert "\n" not in reading.reason + reading.note
        for code in (0, 1, 3, 255):
            assert judge(BackupTool("restic", "restic"), CommandEnd(code), reading).message


def test_a_long_line_is_read_in_no_time():
    text = "rsync: " + "x" * 65_000 + "\n" + "Transferred: " * 5_000
    for one in (borg, rclone, restic, rsync):
        assert isinstance(one.read(text, text), OutputReading)


COMMANDS = {
    "restic -r /srv/r --json backup /home": ("restic", "restic backup", "backup"),
    "/usr/local/bin/restic forget --prune": ("restic", "restic forget", "prune"),
    "sudo -u backup nice -n 19 borg create ::x /": ("borg", "borg create", "backup"),
    "env BORG_REPO=x borg check": ("borg", "borg check", "verify"),
    "python3 /usr/bin/borg prune": ("borg", "borg prune", "prune"),
    "sh /opt/backup.sh restic": ("restic", "restic", "backup"),
    "timeout 3h rclone sync a: b:": ("rclone", "rclone sync", "backup"),
    r"C:\Windows\System32\Robocopy.exe a b /MIR": ("robocopy", "robocopy", "backup"),
    "pg_dump restic": ("", "pg_dump", "backup"),
    "bash /opt/nightly.sh": ("", "nightly.sh", "backup"),
    "sh -c exit": ("", "sh", "backup"),
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_tool_is_known_by_its_command(line: str):
    tool = tool_of(line.split(" "))
    assert (tool.name, tool.title, tool.activity) == COMMANDS[line]


CODES = [
    ("restic backup", {0: "success", 1: "failure", 3: "warning", 10: "failure", 11: "failure", 12: "failure", 130: "failure"}),
    ("rsync -a a b", {0: "success", 23: "failure", 24: "warning", 12: "failure", 30: "failure"}),
    ("borg create", {0: "success", 1: "warning", 2: "failure", 99: "failure", 100: "warning", 107: "warning", 108: "failure", 126: "failure", 127: "failure", 128: "failure", 137: "failure"}),
    ("robocopy a b", {0: "success", 1: "success", 3: "success", 4: "warning", 7: "warning", 8: "failure", 16: "failure"}),
    ("rclone sync a b", {0: "success", 9: "success", 1: "failure", 3: "failure"}),
    ("backup.sh", {0: "success", 1: "failure", 3: "failure", 24: "failure", 126: "failure", 127: "failure", 255: "failure"}),
    ("tar -cf a.tar a", {0: "success", 1: "failure", 2: "failure", 127: "failure"}),
    ("duplicity a b", {0: "success", 23: "failure", 30: "failure", 50: "failure"}),
    ("timeout 1h borg create", {124: "failure", 127: "failure", 101: "warning"}),
    ("sudo restic backup", {3: "warning", 127: "failure"}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "codes"), CODES, ids=[line for line, _ in CODES])
def test_an_exit_code_is_judged_by_its_tool(line: str, codes: dict[int, str]):
    tool = tool_of(line.split())
    assert {code: judge(tool, CommandEnd(code), OutputReading()).outcome for code in codes} == codes


@pytest.mark.parametrize(
    ("code", "line", "outcome"),
    [
        (1, "tar: ./db: file changed as we read it", "warning"),
        (1, "tar: ./db: File removed before we read it", "warning"),
        (2, "tar: ./db: Cannot open: Permission denied", "failure"),
        (1, "tar: ./db: Couldn't open: Permission denied", "failure"),  # bsdtar's 1 is any error
        (0, "tar: ./db: file changed as we read it", "warning"),
    ],
)
def test_tar_s_exit_code_1_is_a_warning_only_where_files_changed(code: int, line: str, outcome: str):
    tool = tool_of(["tar", "-cf", "a.tar", "a"])
    reading = read(tool, decode_output([line.encode(), b"", line.encode()]))
    assert judge(tool, CommandEnd(code), reading).outcome == outcome


@pytest.mark.parametrize("code", [126, 127])
def test_a_command_that_never_ran_is_a_failure_that_says_so(code: int):
    judged = judge(tool_of(["backup.sh"]), CommandEnd(code), OutputReading())
    assert (judged.outcome, "the command" in judged.message) == ("failure", True)


@pytest.mark.parametrize(
    "line",
    [
        'pattern "/srv/*.db" does not match any files, skipping',
        "processed 0 files, 0 B in 0:00",
        "unable to remove snapshot/1a2b3c4d from the repository",
        "ignoring error for /srv/db: permission denied",
        "FilesWithError: 2",
        'pg_dump: error: connection to server at "db" failed',
        "mysqldump: Got error: 1045: Access denied for user",
        "gzip: stdout: No space left on device",
        "Errors 3",
        "cannot send 'tank/data@a': I/O error",
        "tar: /root: Cannot open: Permission denied",
        "/opt/nightly.sh: line 3: restic: command not found",
    ],
)
def test_trouble_that_a_command_admits_with_exit_code_0_is_a_warning_with_its_line(line: str):
    tool = tool_of(["bash", "/opt/nightly.sh"])
    capture = OutputCapture()
    capture.feed("both", b"02:00 it begins\n" + line.encode() + b"\n02:10 all done\n")
    judged = judge(tool, CommandEnd(0), read(tool, decode_output(capture.parts())))
    assert judged.outcome == "warning"
    assert line in judged.message


def test_a_file_that_robocopy_s_retry_saved_is_no_warning():
    tool = tool_of(["robocopy", "a", "b"])
    log = b"2026/11/23 02:00:09 ERROR 32 (0x00000020) Copying File D:\\x\nWaiting 30 seconds... Retrying...\n"
    assert judge(tool, CommandEnd(1), read(tool, decode_output([log, log, b""]))).outcome == "success"


def test_a_log_in_latin_1_keeps_its_letters_next_to_lines_in_utf_8():
    log = "Übertragung läuft\n".encode("latin-1") + "Größe: 3 GB\n".encode() + b"caf\xe9 \xc3\xa9\n"
    assert decode_output([log, b"", b""]).log == "Übertragung läuft\nGröße: 3 GB\ncaf\ufffd é\n"


def test_a_log_holds_no_escape_of_a_terminal():
    log = b"\x1b[1;31mFAILED\x1b[0m \x1b]0;title\x07x \x1b(Bok \x1b$B\x1b[?25h\x1b"
    seen = decode_output([log, log, log])
    assert seen.log == "FAILED x ok "
    assert "\x1b" not in seen.out + seen.err


def test_a_refusal_by_sudo_is_not_a_warning_of_borg():
    reading = read(tool_of(["borg"]), decode_output([b"", b"", b"sudo: a password is required\n"]))
    assert judge(tool_of(["sudo", "borg", "create"]), CommandEnd(1), reading).outcome == "failure"


def test_only_what_somebody_stopped_at_the_terminal_is_cancelled():
    tool = tool_of(["restic"])
    assert {judge(tool, CommandEnd(0, signal), OutputReading()).outcome for signal in (2, 9, 15)} == {"failure"}
    stopped = [
        CommandEnd(0, 2, is_interrupted=True),
        CommandEnd(130, is_interrupted=True),
        CommandEnd(0, is_interrupted=True),
    ]
    assert [judge(tool, one, OutputReading()).outcome for one in stopped] == ["cancelled", "cancelled", "success"]


def test_a_log_keeps_head_and_tail_and_drops_what_is_not_text():
    capture = OutputCapture()
    capture.feed("out", b"first words\n")
    for number in range(3000):
        capture.feed("err", b"%05d %s\n" % (number, b"x" * 93))
    capture.feed("out", b"PGDMP\x00\x01secret")
    capture.feed("out", b"more of it")
    capture.feed("err", b"10%\r50%\r100%\nlast words\n")
    seen = decode_output(capture.parts())
    assert seen.log.startswith("first words\n00000 x")
    assert seen.log.endswith(
        "02999 " + "x" * 93 + "\n\n[what follows is not text, and is left out]\n100%\nlast words\n"
    )
    assert "bytes left out ...]" in seen.log
    assert len(seen.log.encode()) <= 65536
    assert "secret" not in seen.log


def test_pieces_of_any_size_result_in_the_same_end(tmp_path: Path):
    data = bytes(range(1, 256)) * 2000
    whole, pieces = OutputCapture(), OutputCapture()
    whole.feed("out", data)
    for place in range(0, len(data), 777):
        pieces.feed("out", data[place : place + 777])
    assert whole.parts() == pieces.parts()
