"""What `tocsin doctor` finds is in the reader's language on the page Service."""

import ast
from pathlib import Path
from types import ModuleType

import pytest
from markupsafe import Markup

from app.cli import doctor, heartbeat_check, unreadable_check
from app.http.pages.doctor_texts import doctor_text
from app.http.pages.languages import translations


def texts_of(module: ModuleType) -> list[str]:
    """Return each finding and remedy that is written in a module, with a word in the place of each value, as the page gets it."""
    found = []
    for call in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "DoctorFinding":
            for node in call.args[1:]:
                written = node.body if isinstance(node, ast.IfExp) else node
                if isinstance(written, ast.Name) and isinstance(constant := getattr(module, written.id, None), str):
                    found.append(constant)
                elif isinstance(written, ast.Constant):
                    found.append(str(written.value))
                elif isinstance(written, ast.JoinedStr):
                    parts = [str(it.value) if isinstance(it, ast.Constant) else "X7" for it in written.values]
                    found.append("".join(parts))
    return [text.removesuffix(":") + "." if text.endswith(":") else text for text in found if text]


@pytest.mark.parametrize("module", [doctor, heartbeat_check, unreadable_check], ids=["doctor", "heartbeat", "rows"])
def test_findings_and_remedies_are_german_on_a_german_page(module: ModuleType) -> None:
    written = texts_of(module)
    code = ("POST /v1/", "PATCH /v1/", "GET /v1/events", "X7")  # an operation alone is the same in each language
    german = translations("de")
    left = [text for text in written if isinstance(doctor_text(text, german), Markup)]
    assert len(written) >= 3
    assert [text for text in left if not text.startswith(code)] == []


def test_values_stay_and_what_is_unknown_is_marked_as_english() -> None:
    german = translations("de")
    assert (
        doctor_text("Agents that do not report any more: a, b.", german) == "Agenten, die nicht mehr berichten: a, b."
    )
    assert doctor_text("Agents that do not report any more: a, b.", translations("en")).endswith("more: a, b.")
    assert doctor_text("<b>", german) == '<span lang="en">&lt;b&gt;</span>'
