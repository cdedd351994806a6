"""Decides which routes report an alert. Pure."""

from collections.abc import Mapping, Sequence

from app.domain.matcher import all_match
from app.domain.route import Route


def matching_routes(customer_id: str, facts: Mapping[str, str], routes: Sequence[Route]) -> list[Route]:
    """Return the routes that report this alert: the first that matches, and later ones as long as each has `goes_on`."""
    chosen: list[Route] = []
    for route in routes:
        if route.enabled and route.customer_id in (None, customer_id) and all_match(route.matchers, facts):
            chosen.append(route)
            if not route.goes_on:
                break
    return chosen
