"""The charts of a job as Chromium draws them: a failed run is seen in its colour, where it stands, in both themes."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, StorageState

from tests.browser.test_pages import opened
from tests.support.cli import Served

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]

# For each chart: how many of its pixels have the colours of the page for failures, by tenths of its width.
_READ = """() => {
  const probe = document.createElement("span");
  document.body.append(probe);
  const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map(Number); };
  const wanted = { bar: colour("fail"), letter: colour("fail-text"), good: colour("edge"), ground: colour("card") };
  const charts = [...document.querySelectorAll(".plot")].map((plot) => {
    const canvas = plot.querySelector("canvas");
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const found = { title: plot.dataset.title, bar: Array(10).fill(0), letter: Array(10).fill(0), good: Array(10).fill(0) };
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 250) continue;
      const tenth = Math.floor(((i / 4) % width) * 10 / width);
      for (const name of ["bar", "letter", "good"])
        if (wanted[name].every((part, at) => Math.abs(part - data[i + at]) <= 6)) found[name][tenth] += 1;
    }
    return found;
  });
  probe.remove();
  return { charts, colours: wanted };
}"""


@pytest.mark.parametrize(
    ("device", "chosen"), [("light", None), ("dark", None), ("light", "Dark"), ("dark", "Light")], ids=str
)
def test_a_failed_run_is_drawn_in_the_colour_of_failures(
    chromium: Browser, demo: Served, owner: StorageState, device: Literal["light", "dark"], chosen: str | None
) -> None:
    with opened(chromium, demo, owner, (1440, device, "en-GB")) as (page, seen):
        page.goto("/jobs?q=files01&state=failed")
        page.locator("main a[href^='/job/']", has_text=re.compile("^shares$")).first.click()
        if chosen is not None:
            page.get_by_role("button", name=chosen, exact=True).click()
        page.wait_for_function("document.querySelectorAll('.plot canvas').length >= 4")
        read = page.evaluate(_READ)
        is_dark = (chosen or device).casefold() == "dark"
        assert (sum(read["colours"]["ground"]) < 3 * 128) == is_dark, "the page has this theme"
        by_title = {one["title"]: one for one in read["charts"]}
        assert set(by_title) == {"Duration", "Bytes read", "Bytes stored", "Files"}
        for title, one in by_title.items():
            assert sum(one["good"]) > 2000, f"{title}: the bars of the good runs are drawn"
            assert sum(one["letter"][8:]) > 10, f"{title}: the letter of the failed run stands at its place, the last"
            assert sum(one["letter"][:8]) == 0, f"{title}: no letter stands over a good run"
            assert sum(one["bar"][:8]) == 0, f"{title}: no good run has the colour of failures"
            if title != "Bytes stored":  # the failed run stored nothing: it has no bar, only its letter
                assert sum(one["bar"][8:]) > 300, f"{title}: the bar of the failed run is drawn"
        assert seen.errors == []
