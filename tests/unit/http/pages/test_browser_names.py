"""Where somebody is signed in is named by browser and system, not by the long text that browsers send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.pages.browser_names import browser_name
from app.http.pages.languages import translations

_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "english", "german"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} Chrome/130.0.0.0 Safari/537.36", "Chrome on Linux", "Chrome auf Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64) {_KIT} Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows", "Edge auf Windows"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} Chrome/130.0 Mobile Safari/537.36", "Chrome on Android", "Chrome auf Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox on macOS", "Firefox auf macOS"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
            "Safari auf iPhone",
        ),
        ("curl/8.5.0", "curl/8.5.0", "curl/8.5.0"),
        (None, "an unknown browser", "ein unbekannter Browser"),
        ("", "an unknown browser", "ein unbekannter Browser"),
    ],
)  # fmt: skip
def test_a_browser_is_named_as_people_name_it(agent: str | None, english: str, german: str) -> None:
    assert browser_name(agent, translations("en")) == english
    assert browser_name(agent, translations("de")) == german


@given(st.text(max_size=400))
def test_any_text_that_is_sent_as_a_name_stays_one_short_line(agent: str) -> None:
    shown = browser_name(agent, translations("en"))
    assert "\n" not in shown
    assert len(shown) <= 121
