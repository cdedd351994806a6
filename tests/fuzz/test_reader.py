"""Whatever a text says, the reader returns a meaning with short evidence, twice the same, and takes little time. `make fuzz` runs it for a minute."""

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.intake.language.lexicon import all_entries
from app.intake.language.reader import read_words
from tests.fuzz.test_dialects import run_repeatedly
from tests.support.examples import examples

MAX_CPU_S = 1.0
TERMS = sorted({entry.term for entry in all_entries()})
PIECE = st.one_of(
    st.sampled_from(TERMS),
    st.text(max_size=30),
    st.sampled_from(["0", "2 of 5", ":", "=", "\n", "(", "…", "?", "%", "web01"]),
)
TEXT = st.lists(PIECE, max_size=60).map(" ".join)


def test_any_text_has_a_meaning_with_evidence(fuzz_s: float):
    @settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=1000 if fuzz_s else examples(100))
    @given(subject=TEXT, body=TEXT, names=st.lists(st.text(max_size=12), max_size=4), times=st.integers(1, 300))
    def check_one(subject: str, body: str, names: list[str], times: int) -> None:
        started = time.process_time()
        reading = read_words(subject, body * times, names=names)
        assert time.process_time() - started < MAX_CPU_S
        assert len(reading.words) <= 200
        assert reading.rule
        assert read_words(subject, body * times, names=names) == reading

    run_repeatedly(check_one, fuzz_s)
