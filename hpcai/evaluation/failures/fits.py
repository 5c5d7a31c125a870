"""Fits as a table of parameters and a model to draw from, written to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.evaluation.humanise import duration
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


def fit_to_folder(
    log: FailureLog, by: str, out: Path, severities: Sequence[str], *, seed: int = 0, quiet: bool = True
) -> pd.DataFrame:
    """Fit, write parameters.csv and model.yaml into ``out``, and return the parameters. Raises InputError."""
    fitted = fit_groups(log, by, severities, seed=seed, quiet=quiet)
    return write_fits(log, fitted, out)


def write_fits(log: FailureLog, fitted: Sequence[GroupFit], out: Path) -> pd.DataFrame:
    """Write parameters.csv and model.yaml into the folder ``out``, and return the parameters. Raises InputError."""
    model, table = models(log, fitted), parameters(fitted)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made a folder: {error.strerror or error}") from error
    write_csv(table, out / "parameters.csv")
    model.save(out / "model.yaml")
    return table


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


def parameter_lines(table: pd.DataFrame) -> list[str]:
    """Return the chosen fits as lines of Markdown."""
    lines = [
        "| group | what | n (censored) | chosen | shape | scale | mean | ahead in AIC by | KS distance (p) |",
        "|---" * 9 + "|",
    ]
    for (group, quantity), rows in table.groupby(["group", "quantity"], sort=False):
        best = rows[rows["chosen"]].iloc[0]
        others = rows[~rows["chosen"]].sort_values("aic")
        ahead = f"{others['aic'].iloc[0] - best['aic']:.1f} ({others['family'].iloc[0]})" if len(others) else "–"
        shape = "–" if best["family"] == "exponential" else f"{best['shape']:.3f} {_span(best, 'shape')}"
        scale = f"{duration(best['scale'])} [{duration(best['scale_low'])}, {duration(best['scale_high'])}]"
        p_value = "–" if np.isnan(best["ks_p_value"]) else f"{best['ks_p_value']:.2f}"
        count = f"{best['durations']:,} ({best['censored']:,})"
        lines.append(
            f"| {group} | {quantity} | {count} | {best['family']} | {shape} | {scale} | {duration(best['mean'])} "
            f"| {ahead} | {best['ks_distance']:.3f} ({p_value}) |"
        )
    return lines


def _span(row: pd.Series, name: str) -> str:
    return f"[{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"
