"""A report as one HTML file that needs nothing else: the shell that all reports share, figures drawn by Plotly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render_page(
    template: str, figures: Mapping[str, Any], *, package: str = "hpcai.evaluation", **context: object
) -> str:
    """Return a template of ``package``, filled in, as a page; ``figures`` are Plotly's JSON by name of their place."""
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("hpcai.evaluation")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        version=version("hpcai"),
        plotly=Markup(get_plotlyjs()),
        figures=Markup(_script_safe(json.dumps(figures, separators=(",", ":"), allow_nan=False))),
        **context,
    )


def _script_safe(text: str) -> str:
    """Return JSON in which no text from a log can end the script element that holds it."""
    return text.replace("<", "\\u003c")
