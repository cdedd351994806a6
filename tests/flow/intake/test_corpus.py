"""Every request of the corpus, sent over a raw socket to the real service: its answer, and what the administrator then sees.

The tables in tests/corpus/expected are reviewed by a person; `python -m tests.support.corpus_service FAMILY` shows the changes.
"""

from collections.abc import Iterator

import pytest

from tests.support import corpus
from tests.support.corpus_service import EXPECTED, listening, table_of
from tests.support.running import Running, serving

REVIEWED = sorted(path.stem for path in EXPECTED.glob("*.tsv"))
GOOD = {"accept": {"2"}, "reject": {"4"}, "close": {"4", "c"}, "any": {"2", "3", "4", "c"}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all families, each of which has a customer of its own."""
    with serving(tmp_path_factory.mktemp("corpus")) as running:
        yield running


def test_every_family_has_a_table():
    assert corpus.FAMILIES == REVIEWED


@pytest.mark.parametrize("family", REVIEWED)
def test_each_request_is_answered_and_becomes_the_event_in_the_table(family: str, service: Running):
    with listening(service) as listener:
        found = [listener.row(recording) for recording in corpus.recordings(family)]
    assert found == table_of(family)


@pytest.mark.parametrize("family", REVIEWED)
def test_the_tables_answers_are_the_ones_that_the_recordings_expect(family: str):
    answers = {row[0]: row[1] for row in table_of(family)}
    wrong = [
        f"{one.id}: {one.meta['expect']} is expected, {answers[one.id]} is the answer"
        for one in corpus.recordings(family)
        if answers[one.id][0] not in GOOD[one.meta["expect"]]
    ]
    assert not wrong


@pytest.mark.parametrize("family", REVIEWED)
def test_every_request_of_the_family_is_in_its_table(family: str):
    assert [row[0] for row in table_of(family)] == [one.id for one in corpus.recordings(family)]
