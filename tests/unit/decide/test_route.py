"""Which routes report an alert of the job `nightly-sql` of the customer Alder Dental. Routes are tried in this order."""

import pytest

from app.decide.route import matching_routes
from app.domain.route import Route
from tests.support.decide_cases import FACTS, matchers, route

EVERYTHING = route()
SQL = route("sql", matchers=matchers("job like *sql"))
FILES = route("files", matchers=matchers("job is files"))
NORTH = route("north", matchers=matchers("label:site is north"), goes_on=True)


@pytest.mark.parametrize(
    ("routes", "chosen"),
    [
        ([], []),
        ([EVERYTHING], ["everything"]),
        ([SQL, EVERYTHING], ["sql"]),  # the first that matches ends the search
        ([FILES, EVERYTHING], ["everything"]),
        ([FILES], []),
        ([NORTH, SQL, EVERYTHING], ["north", "sql"]),  # `goes_on`: the search continues
        ([NORTH, FILES], ["north"]),
        ([route("off", enabled=False), EVERYTHING], ["everything"]),
        ([route("ours", customer_id="cus_1"), EVERYTHING], ["ours"]),
        ([route("theirs", customer_id="cus_2"), EVERYTHING], ["everything"]),
        ([route("both", matchers=matchers("job like *sql", "severity is critical")), EVERYTHING], ["everything"]),
    ],
    ids=lambda value: ", ".join(one if isinstance(one, str) else one.name for one in value) or "none",
)
def test_an_alert_is_reported_by_the_routes_that_match(routes: list[Route], chosen: list[str]) -> None:
    assert [found.name for found in matching_routes("cus_1", FACTS, routes)] == chosen
