"""/alerts: all alerts by tabs, to act on many at once."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.domain.problem import Cause, group_problems
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.http.pages.now import UNCLEAR_SHOWN, NowFilters, filtered, read_quotes
from app.http.pages.overview import read_overview
from app.http.pages.session import SignedInPerson
from app.store.alerts import read_closed_alerts

router = APIRouter(include_in_schema=False)

_CLOSED_SHOWN, _ROWS_SHOWN, _MOST_ROWS = 100, 25, 200
# So many alerts of one cause are listed. With 25 causes of 25 alerts each, the page has 130 kB.
_FEW_ROWS, _INNER_OF_FEW, _INNER_OF_MANY = 10, 100, 5
_CLOSED_FOR = timedelta(days=30)
Tab = Literal["open", "nobody", "acknowledged", "silenced", "unclear", "closed"]


class AlertsAsked(BaseModel):
    """What the address of the page asks for."""

    tab: Annotated[Tab, Query()] = "open"
    q: Annotated[str, Query(max_length=100)] = ""
    kind: Annotated[str, Query(max_length=20)] = ""
    customer: Annotated[str, Query(max_length=200)] = ""
    order: Annotated[Literal["worst", "newest", "oldest"], Query()] = "worst"
    more: Annotated[bool, Query()] = False


@router.get("/alerts")
async def show_alerts(
    request: Request, context: Context, who: SignedInPerson, asked: Annotated[AlertsAsked, Query()]
) -> HTMLResponse:
    """Show the alerts of one tab."""
    filters = NowFilters(q=asked.q, state=asked.kind, customer=asked.customer)
    async with context.database.read() as tx:
        every = await read_overview(tx, context, who.customers)
        shown = filtered(every, filters)
        closed: list[Cause] = []
        if asked.tab == "closed":
            found = await read_closed_alerts(tx, who.customers, context.clock() - _CLOSED_FOR, _CLOSED_SHOWN)
            closed = [Cause((one,)) for one in found if filters.fits(one)]
        quotes = await read_quotes(tx, shown.unclear[: UNCLEAR_SHOWN * 10]) if asked.tab == "unclear" else []
    of_tab = {
        "open": shown.problems,
        "nobody": shown.nobody,
        "acknowledged": shown.somebody,
        "silenced": shown.silenced,
        "unclear": tuple(group_problems(shown.unclear)),
        "closed": tuple(closed),
    }[asked.tab]
    rows = list(of_tab)
    if asked.order != "worst" and asked.tab != "closed":
        rows.sort(key=lambda problem: problem.since, reverse=asked.order == "newest")
    most = _MOST_ROWS if asked.more else _ROWS_SHOWN
    return render(
        request,
        context,
        who,
        "alerts.html",
        place="alerts",
        live="alerts",
        hot=len(every.nobody),
        asked=asked,
        rows=rows[:most],
        inner_shown=_INNER_OF_FEW if len(rows) <= _FEW_ROWS else _INNER_OF_MANY,
        left_out=max(0, len(rows) - most),
        most_rows=0 if asked.more else _MOST_ROWS,
        quotes=quotes,
        alerts=sum(len(problem.alerts) for problem in every.problems),
        numbers={
            "open": len(every.problems),
            "nobody": len(every.nobody),
            "acknowledged": len(every.somebody),
            "silenced": len(every.silenced),
            "unclear": len(every.unclear),
        },
        customers=sorted({one.customer for problem in every.problems for one in problem.alerts}),
    )
