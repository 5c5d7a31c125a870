"""``hpcai twin watch``: the panels follow the site, and the keys do what they say."""

from __future__ import annotations

import asyncio
import sys

import pytest

from hpcai.errors import InputError
from hpcai.evaluation.site.config import site_config

pytest.importorskip("textual", reason="needs the extra hpcai[watch]")

SITE = {
    "jobs": {"trace": "mn-1-day.parquet"},
    "machine": "mn-1",
    "days": 0.125,
    "faults": {"domains": {"node": {"mtbf_days": 2, "repair_hours": 0.2}}},
}


def test_it_runs_to_the_end_and_tells_of_faults():
    from textual.widgets import RichLog, Sparkline

    from hpcai.evaluation.site.watch import PANELS, Watcher

    async def watch() -> Watcher:
        app = Watcher(site_config(SITE, "here"))
        async with app.run_test() as pilot:
            await pilot.press("space")
            before = app.site.tick
            await pilot.pause(0.3)
            assert app.site.tick == before
            await pilot.press("space")
            while not app.over:
                await pilot.pause(0.05)
            app.show()
            assert len(app.query_one("#news", RichLog).lines) > 0
            assert len(app.query_one("#it", Sparkline).data) == app.site.setting.ticks
        return app

    app = asyncio.run(watch())
    assert app.site.tick == app.site.setting.ticks == 180
    assert app._lines["it"][-1] == pytest.approx(app.site.timeline.last[1:3].sum() / 1e3)
    assert set(app._lines) == set(PANELS)


def test_speed_is_what_is_asked_for():
    from hpcai.evaluation.site.watch import FRAME, Watcher

    async def watch() -> int:
        app = Watcher(site_config(SITE, "here"), speed=600.0)
        async with app.run_test():
            before = app.site.tick
            for _ in range(5):
                app.show()
            return app.site.tick - before

    assert asyncio.run(watch()) <= 5 * 600 * FRAME / 60 + 3


def test_without_textual_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "hpcai.evaluation.site.watch", raising=False)
    monkeypatch.setitem(sys.modules, "textual.app", None)
    with pytest.raises(InputError, match=r"pip install 'hpcai\[watch\]'"):
        import hpcai.evaluation.site.watch  # noqa: F401
