"""The form of a text: what two messages of one kind have in common."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.mail_rule import stars_of
from app.domain.text_form import BODY_MOST, STARS_MOST, SUBJECT_MOST, form_of
from tests.support.examples import examples

SPACES = re.compile(r"\s+")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Backup of db07 finished with 3 warnings in 12 min 5 s", "Backup of db07 finished with * warnings in *"),
        ("1,234.5 GB copied, 97 %", "* copied, *"),
        ("Report for Thu, 26 Nov 2026 02:00:03", "Report for *"),
        ("2026-11-26T02:00:03.123Z job_4711 done", "* job_* done"),
        ("Sicherung am 26. November 2026 um 02:10 Uhr", "Sicherung am * um * Uhr"),
        ("Le 3 août 2026 : 4 fichiers", "Le * fichiers"),
        ("snapshot 8f3e2a1b of a1b2c3d4-0000-4444-8888-123456789abc", "snapshot * of *"),
        ("backup20261126 ran", "backup* ran"),
        ("3 marked as bad, 2 decrypted", "* marked as bad, * decrypted"),  # neither March nor December
        ("0 errors, 0 B, 0 %, 00:00:00", "0 errors, 0 B, 0 %, *"),
        ("10 errors", "* errors"),
        ("several   spaces\nand lines", "several spaces and lines"),
        ("", ""),
    ],
)
def test_what_changes_each_time_becomes_a_star(text: str, form: str) -> None:
    assert form_of(text).subject == form


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("0 errors", "3 errors"),
        ("vault7: 5 of 5 sets", "vault7: 3 of 5 sets"),
        ("vault7: 5/5 sets", "vault7: 0/5 sets"),
        ("5 von 5 Kopien", "4 von 5 Kopien"),
        ("3 sur 3", "1 sur 3"),
        ("5个中5个", "5个中3个"),
        ("100 % copied", "97 % copied"),
        ("exit code 0", "exit code 2"),
        ("ended, status=1", "ended, status=2"),
        ("rc 4", "rc 8"),
        ("Rückgabewert 0", "Rückgabewert 2"),
        ("código 1", "código 2"),
        ("已完成5/5", "已完成3/5"),
        ("已完成100%", "已完成97%"),
        ("退出码1", "退出码2"),
        ("終了コード1", "終了コード2"),
    ],
)
def test_where_the_figure_is_the_answer_it_stays(good: str, bad: str) -> None:
    assert form_of(good).key != form_of(bad).key


LINES = "\n".join(f"2026-11-26 02:10:{second} moved crate {second}, {second} kB" for second in range(10, 60))


@pytest.mark.parametrize("body", [LINES, LINES * 20, "the vault was visited " * 400], ids=["stars", "long", "words"])
def test_the_last_line_of_a_long_text_counts(body: str) -> None:
    """A success that was taught must not hold for a text that ends otherwise."""
    assert form_of("vault", body + "\nvault sealed").key != form_of("vault", body + "\nvault melted").key
    assert (
        form_of("vault", body + "\nvault sealed at 02:11").key == form_of("vault", body + "\nvault sealed at 14:59").key
    )
    assert (
        stars_of(SPACES.sub(" ", body + "\nvault sealed"), form_of("vault", body + "\nvault sealed").body) is not None
    )


@pytest.mark.parametrize("lines", [49, 55, 400])
def test_a_long_text_with_another_number_of_lines_is_the_same_form(lines: int) -> None:
    def night(count: int) -> str:
        return "\n".join(
            [*(f"crate {number * 7} moved, {number * 31} kB" for number in range(1, count)), "vault sealed"]
        )

    assert form_of("vault", night(lines)).key == form_of("vault", night(lines + 5)).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("夜间任务 2026年11月26日 02时10分 12个", "夜间任务 2026年12月1日 13时7分 9个"),
        ("報告 11月26日(木) 2時10分", "報告 12月1日(金) 13時7分"),
        ("vault 26 ноября 2026", "vault 1 декабря 2026"),
        ("vault 26 listopada 2026", "vault 1 grudnia 2026"),
        ("vault 26. listopadu 2026", "vault 1. prosince 2026"),
        ("vault 26 Kasım 2026", "vault 1 Aralık 2026"),  # noqa: RUF001
        ("vault 30 maj 2026", "vault 1 augusti 2026"),
        ("Donnerstag, 26. November 2026: vault", "Freitag, 1. Dezember 2026: vault"),
        ("jeudi 26 novembre 2026", "vendredi 27 novembre 2026"),
        ("vault on Thursday", "vault on Friday"),
        ("vault W48 at 2 AM, 1h2m3s", "vault W49 at 11 PM, 2h12m33s"),
    ],
)
def test_another_date_is_the_same_form(one: str, other: str) -> None:
    assert form_of(one).key == form_of(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [("5 of 5 sets", "7 of 7 sets"), ("12/12", "3/3"), ("97 % used", "3 % used"), ("26 sets", "3 sets")],
)
def test_another_whole_is_the_same_form(one: str, other: str) -> None:
    assert form_of(one).key == form_of(other).key


def test_subject_and_body_both_count() -> None:
    assert form_of("Cron", "all is quiet").key != form_of("Cron", "disk is odd").key


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["backup", "db07", "failed", "*", "0", "GB", "of", "Nov", "26", "Mon,", "deadbeef", "1,5", "*5*"]
        ),
        st.integers(0, 10**8).map(str),
        st.datetimes().map(lambda at: at.strftime("%Y-%m-%d %H:%M")),
        st.text(max_size=8),
    ),
    max_size=60,
).map(" ".join)


@settings(max_examples=examples(300), deadline=None)
@given(WORDS, WORDS)
def test_a_form_is_short_and_its_own_text_matches_it(subject: str, body: str) -> None:
    form = form_of(subject, body)
    assert len(form.subject) <= SUBJECT_MOST + 1
    assert len(form.body) <= BODY_MOST + 1
    assert max(form.subject.count("*"), form.body.count("*")) <= STARS_MOST + 1
    for text, glob in ((subject, form.subject), (body, form.body)):
        assert stars_of(SPACES.sub(" ", text).strip(), glob) is not None


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["backup", "in", "copied", "files"]), st.integers(1, 10**6), st.integers(1, 10**6)),
        max_size=20,
    )
)
def test_other_numbers_do_not_change_the_form(parts: list[tuple[str, int, int]]) -> None:
    first = " ".join(f"{word} {number}" for word, number, _ in parts)
    second = " ".join(f"{word} {number}" for word, _, number in parts)
    assert form_of(first).key == form_of(second).key


@settings(max_examples=examples(100), deadline=None)
@given(st.text())
def test_any_text_has_a_form(text: str) -> None:
    assert form_of(text, text) == form_of(text, text)
