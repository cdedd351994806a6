"""The word files: each line can be used, and no term contradicts itself."""

import pytest

from app.intake.language.words_file import TermMeaning, languages, load_terms


@pytest.mark.parametrize("language", languages())
def test_each_line_of_a_word_file_has_a_known_meaning_a_term_and_an_example(language):
    assert list(load_terms(language))


@pytest.mark.parametrize("language", languages())
def test_no_term_has_two_meanings_in_one_language(language):
    seen = {}
    for term in load_terms(language):
        if term.meaning is TermMeaning.GATEWAY:  # these are looked up on their own
            continue
        assert seen.setdefault(term.term, term.meaning) == term.meaning, term
