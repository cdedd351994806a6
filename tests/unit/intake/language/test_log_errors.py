"""Lines in which a tool admits trouble although it ended with exit code 0: each row of the table, and what must not count."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.language.log_errors import find_log_errors
from programs.protocol.log_errors import ROWS, LogErrorRow


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.tool}: {row.sample[:40]}")
def test_each_row_of_the_table_finds_its_sample_line_by_itself(row: LogErrorRow):
    log = f"02:00 it begins\n{row.sample}\n02:10 it ends\n"
    assert row.hint in log.lower()
    assert row.pattern.search(log)
    found = find_log_errors(log)
    assert found is not None
    assert (found.count, found.line) == (1, row.sample.strip()[:300])
    assert row.source


@pytest.mark.parametrize(
    "line",
    [
        "restic: processed 812 files, 1.2 GiB in 0:12",
        "processed 0 files",
        "A /srv/mail/tar: x: Cannot open: Permission denied",
        "U /srv/[Errno 13] Permission denied",
        "- /srv/logs/No space left on device",
        "unchanged /srv/error: permission denied.log",
        "srv/fatal errors/readme.txt",
        "/srv/data: found",
        "FilesWithError: 0",
        '{"FilesWithError": 0, "Errors": 0}',
        "Errors 0",
        "Errors:                 0",
        "   Files :       120        10       110         0         0         0",
        "  Non-fatal FD errors:    0",
        "ERROR: none",
        "Error: 0",
        "0 errors",
        "errors=0&note=E",
        "2026-11-23 02:00:09.000 INFO copied ERROR.txt",
        "pg_dump: dumping contents of table public.error_log",
        "mysqldump: [Warning] Using a password on the command line interface can be insecure.",
        "tar: Removing leading `/' from member names",
        "rsync: building file list",
        "sent 12 bytes  received 35 bytes  94.00 bytes/sec",
        "Transferred:   	    1.2 GiB / 1.2 GiB, 100%",
        "completed OK!",
        "the snapshot failed: was fixed",
    ],
)
def test_a_line_of_a_good_run_is_no_error(line: str):
    assert find_log_errors(f"it begins\n{line}\nit ends") is None


def test_a_line_that_is_too_long_is_shown_from_the_error_on():
    found = find_log_errors("x" * 5000 + ' "FilesWithError": 3, ' + "y" * 5000)
    assert found is not None
    assert found.line.startswith('FilesWithError": 3')
    assert len(found.line) <= 300


def test_a_line_with_a_reason_is_shown_before_a_bare_name():
    found = find_log_errors("E /srv/db\n/srv/db: open: [Errno 13] Permission denied: 'db'\n")
    assert found is not None
    assert (found.count, found.line) == (2, "/srv/db: open: [Errno 13] Permission denied: 'db'")


@given(st.text(st.sampled_from("E: error\nfatal[]0İ1/ -tarpg_dump'\"="), max_size=300))
def test_any_text_is_searched(text: str):
    find_log_errors(text)


@pytest.mark.parametrize(
    "piece", ["error: ", ": ", "2026-11-23 02:00:09 ", "tar: " + "x" * 1999, "rsync: failed ", " : 1 2 3 4 "]
)
def test_the_worst_texts_take_less_than_a_second_for_a_mebibyte(piece: str):
    text = (piece * (2**20 // len(piece) + 1))[: 2**20]
    began = time.process_time()
    find_log_errors(text)
    assert time.process_time() - began < 1
