"""Long texts are shortened between characters, and characters that no database stores are replaced."""

from hypothesis import given
from hypothesis import strategies as st

from app.intake.sanitize import replace_unstorable, truncate_middle, truncate_text

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, st.integers(0, 60))
def test_a_truncated_text_is_a_beginning_within_the_limit(text: str, max_bytes: int):
    kept = truncate_text(text, max_bytes)
    assert text.startswith(kept)
    assert len(kept.encode()) <= max_bytes
    assert kept == text or len(kept.encode()) > max_bytes - 4, "no more than one character's bytes are given away"


@given(texts.map(lambda text: text * 7), st.integers(100, 300))
def test_a_truncated_log_keeps_head_and_tail_and_counts_the_rest(text: str, max_bytes: int):
    kept = truncate_middle(text, max_bytes)
    whole = text.encode()
    assert len(kept.encode()) <= max_bytes
    if len(whole) <= max_bytes:
        assert kept == text
        return
    head, _, rest = kept.partition("\n[... ")
    count, _, tail = rest.partition(" bytes left out ...]\n")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert int(count) == len(whole) - len(head.encode()) - len(tail.encode())


def test_nul_and_lone_surrogates_are_replaced():
    assert replace_unstorable("a\0b\ud800c\udcff") == ("a�b�c�", True)
    assert replace_unstorable({"k\0": ["x", {"y": "\udfff"}], "n": 1.5}) == ({"k�": ["x", {"y": "�"}], "n": 1.5}, True)
    assert replace_unstorable({"emoji": "😀", "list": [1, None, True]}) == (
        {"emoji": "😀", "list": [1, None, True]},
        False,
    )


def test_values_nested_too_deeply_are_dropped():
    deep: object = "bottom"
    for _ in range(200):
        deep = [deep]
    kept, changed = replace_unstorable(deep)
    assert changed
    assert "bottom" not in repr(kept)


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    )
)
def test_a_cleaned_value_can_be_stored(value: object):
    kept, changed = replace_unstorable(value)
    text = repr(kept) if not isinstance(kept, str) else kept
    text.encode()
    assert changed or kept == value
