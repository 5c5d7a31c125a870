"""Export what drains nodes: a detector that was learned, or a rule as data, compared with what it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError
from hpcai.faults.detection.detector import Detector, load_detector
from hpcai.learning.bundling.checks import ExportError
from hpcai.learning.bundling.failures_card import drain_card
from hpcai.learning.failures.detecting import DETECTOR_FILE, RESULT_FILE
from hpcai.learning.failures.growing import TOLERANCE
from hpcai.live.bundle import DETECTOR, MODEL_CARD, SUMS, Bundle, check_can_be_written, write_bundle
from hpcai.live.faults.drainer import NOTHING, RISK, Drainer, DrainParameters, node_tensor, seen_by
from hpcai.live.manifest import Manifest, Metric, Range, Source, Tensor

_SETS: Final = {"unseen": "later time, nodes kept out", "later": "later time, nodes learned from"}
_DRAWN: Final = 1000  # nodes on which a bundle is compared


def is_detection(source: str) -> bool:
    """Whether ``source`` is the folder of a detection."""
    return (Path(source) / DETECTOR_FILE).is_file()


def export_detector(source: str | Path, out: str | Path) -> Bundle:
    """Write the bundle of the folder of a detection, and return it as it reads again.

    Raises InputError if something cannot be used, ExportError if the bundle does not say what the detector says.
    """
    check_can_be_written(out)
    detector, results = load_detector(Path(source) / DETECTOR_FILE), _results(Path(source) / RESULT_FILE)
    meta = detector.meta
    parameters = DrainParameters(
        kind="detector",
        detector=DETECTOR,
        threshold=meta.threshold,
        hold=meta.hold,
        most=meta.most,
        costs=meta.costs,
        failures=meta.failures,  # type: ignore[arg-type]
    )
    learned = Source(name=results["log"]["name"], sha256=results["sha256"], part="train")
    manifest = _manifest("detection", Path(source).resolve().name, parameters, detector).model_copy(
        update={
            "training": (learned,),
            "seed": results["config"]["seed"],
            "metrics": tuple(_metrics(results)),
            "validity": {"nodes": Range(least=1, most=float(results["log"]["nodes"]))},
        }
    )
    return _write(out, _with_ranges(manifest, results["ranges"]), detector)


def export_drains(source: str | Path, out: str | Path) -> Bundle:
    """Write the bundle of a drain policy in YAML, and return it as it reads again.

    The file has the keys of :class:`hpcai.live.faults.drainer.DrainParameters`; ``detector`` is the folder of a
    detection, whose hold, share, costs and severities stand where the file says nothing. Raises InputError or
    ExportError.
    """
    check_can_be_written(out)
    fields = {key: value for key, value in read_mapping(source).items() if key != "domain"}
    detector, ranges = None, {}
    if fields.get("detector") is not None:
        folder = Path(source).parent / str(fields["detector"])
        detector, ranges = load_detector(folder / DETECTOR_FILE), _results(folder / RESULT_FILE)["ranges"]
        own = detector.meta.model_dump(include={"threshold", "hold", "most", "costs", "failures"})
        fields = own | fields | {"detector": DETECTOR}
    parameters = validated(DrainParameters, fields, str(source))
    manifest = _manifest("draining", Path(source).stem, parameters, detector)
    return _write(out, _with_ranges(manifest, ranges), detector)


def _results(path: Path) -> dict[str, Any]:
    try:
        results: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for key in ("log", "sha256", "config", "models", "chosen", "ranges"):
            results[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as results of hpcai failures detect: {error}") from error
    return results


def _manifest(domain: Any, name: str, parameters: DrainParameters, detector: Detector | None) -> Manifest:
    return Manifest(
        domain=domain,
        name=name,
        kind="rules",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hpcai=version("hpcai"),
        inputs=(node_tensor(seen_by(parameters, detector)),),
        outputs=(RISK,),
        policy=parameters.model_dump(mode="json"),
        fallback=NOTHING,
    )


def _with_ranges(manifest: Manifest, ranges: dict[str, list[float]]) -> Manifest:
    def told(tensor: Tensor) -> Tensor:
        features = tuple(
            feature.model_copy(update=dict(zip(("least", "low", "high", "most"), ranges[feature.name], strict=True)))
            if feature.name in ranges
            else feature
            for feature in tensor.features
        )
        return tensor.model_copy(update={"features": features})

    return manifest.model_copy(update={"inputs": tuple(map(told, manifest.inputs))})


def _metrics(results: dict[str, Any]) -> list[Metric]:
    """Return the average precision of the chosen model beside that of guessing, on later time."""
    found = []
    for part, words in _SETS.items():
        own = results["models"][results["chosen"]][part]
        area, lift = own["average_precision"], own["lift"]
        if area["value"] is None or not lift["value"]:
            continue
        found.append(
            Metric(
                trace=results["log"]["name"],
                part=words,
                windows=f"{own['caught'] + own['missed']} failures",
                metric="average_precision",
                value=area["value"],
                rival="guessing",
                rival_value=area["value"] / lift["value"],
                ratio=lift["value"],
                low=lift["low"],
                high=lift["high"],
                intervals="95% by bootstrap over nodes",
            )
        )
    return found


def _write(out: str | Path, draft: Manifest, detector: Detector | None) -> Bundle:
    files = {} if detector is None else {DETECTOR: detector.packed()}
    drainer = Drainer(Bundle("draft", draft, files | {SUMS: b""}, ""))
    manifest = draft if detector is None else draft.model_copy(update={"checked": _checked(drainer, detector)})
    return write_bundle(out, manifest, files | {MODEL_CARD: drain_card(manifest).encode()})


def _checked(drainer: Drainer, detector: Detector) -> dict[str, float | int | str]:
    """Compare the detector of a bundle with that of the run on drawn nodes; raise ExportError if they differ."""
    rng = np.random.default_rng(0)
    ranges = {f.name: (f.least, f.most) for tensor in drainer.bundle.manifest.inputs for f in tensor.features}
    spans = [(0.0, 1.0) if None in ranges[name] else ranges[name] for name in detector.meta.seen]
    low, high = (np.array([span[i] for span in spans], dtype=np.float64) for i in (0, 1))
    x = low + (high - low) * rng.uniform(-0.1, 1.1, (_DRAWN, len(spans)))
    x[rng.random(x.shape) < 0.1] = np.nan
    assert drainer.detector is not None
    apart = float(np.abs(drainer.detector.risk(x) - detector.risk(x)).max())
    if apart > TOLERANCE:
        raise ExportError(f"export {drainer.bundle.manifest.name}: the bundle differs from the detector by {apart:.3g}")
    against = "the detector of the run, whose trees were compared with scikit-learn's"
    return {"nodes": len(x), "against": against, "largest_difference": apart, "tolerance": TOLERANCE}
