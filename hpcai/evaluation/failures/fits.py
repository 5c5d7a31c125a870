"""Fits as a table of parameters and a model to draw from, written to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.evaluation.failures.words import near
from hpcai.evaluation.progress import Progress
from hpcai.faults.fit_log import GROUPS, GroupFit, fit_log, models
from hpcai.records.failures import FailureLog
from hpcai.records.writers import atomic


def fit_groups(log: FailureLog, by: str, severities: Sequence[str], *, seed: int, quiet: bool) -> list[GroupFit]:
    """Return the fits of all groups, telling of the progress. Raises InputError."""
    key = by if by in GROUPS and by != "component" else "node_class"
    total = log.events["component"].nunique() if by == "component" else log.nodes[key].nunique()
    with Progress(total, "fits", quiet) as progress:
        return fit_log(log, by, severities=severities, seed=seed, tell=lambda _: progress.advance())


def write_fits(log: FailureLog, fitted: Sequence[GroupFit], out: Path) -> None:
    """Write parameters.csv and model.yaml into the folder ``out``. Raises InputError."""
    model, table = models(log, fitted), parameters(fitted)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made a folder: {error.strerror or error}") from error
    write_csv(table, out / "parameters.csv")
    model.save(out / "model.yaml")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table. Raises InputError if it cannot be written."""
    with atomic(path) as file:
        file.write(table.to_csv(index=False).encode())


def parameters(fitted: Sequence[GroupFit]) -> pd.DataFrame:
    """Return a row for each family that was fitted to each quantity of each group, the chosen one first.

    Times are in seconds; intervals, KS distance and its p-value are those of the chosen family.
    """
    rows = []
    for group in fitted:
        for quantity, one in group.quantities.items():
            for place, fit in enumerate(one.fits):
                life, chosen = fit.lifetime, place == 0
                rows.append(
                    {
                        "group": group.name,
                        "nodes": group.nodes,
                        "failures": group.failures,
                        "mtbf": group.mtbf,
                        "mtbf_low": group.mtbf_interval[0],
                        "mtbf_high": group.mtbf_interval[1],
                        "quantity": quantity,
                        "durations": len(one.data),
                        "censored": len(one.data) - one.data.events,
                        "family": life.family,
                        "chosen": chosen,
                        "shape": life.shape,
                        "shape_low": one.shape[0] if chosen else np.nan,
                        "shape_high": one.shape[1] if chosen else np.nan,
                        "scale": life.scale,
                        "scale_low": one.scale[0] if chosen else np.nan,
                        "scale_high": one.scale[1] if chosen else np.nan,
                        "mean": life.mean,
                        "median": float(life.quantile(0.5)),
                        "aic": fit.aic,
                        "ks_distance": one.goodness.distance if chosen else np.nan,
                        "ks_p_value": one.goodness.p_value if chosen else np.nan,
                    }
                )
    return pd.DataFrame(rows)


def parameter_lines(fitted: Sequence[GroupFit]) -> list[str]:
    """Return the chosen fits as lines of Markdown."""
    headings = "group | what | known (censored) | chosen | shape | scale | mean | ahead in AIC by | KS distance (p)"
    lines = [f"| {headings} |", "|---" * 9 + "|"]
    for group in fitted:
        for quantity, one in group.quantities.items():
            life, found = one.best.lifetime, one.goodness
            known = f"{one.data.events:,} ({len(one.data) - one.data.events:,})"
            shape = (
                "–" if life.family == "exponential" else f"{life.shape:.3f} [{one.shape[0]:.3f}, {one.shape[1]:.3f}]"
            )
            scale = f"{near(life.scale, one)} [{near(one.scale[0], one)}, {near(one.scale[1], one)}]"
            second = one.fits[1] if len(one.fits) > 1 else None
            ahead = f"{second.aic - one.best.aic:.1f} ({second.lifetime.family})" if second else "–"
            goodness = f"{found.distance:.3f} ({'–' if np.isnan(found.p_value) else f'{found.p_value:.2f}'})"
            cells = [group.name, quantity, known, life.family, shape, scale, near(life.mean, one), ahead, goodness]
            lines.append(f"| {' | '.join(cells)} |")
    return lines
