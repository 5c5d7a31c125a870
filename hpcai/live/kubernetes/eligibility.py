"""Which nodes a pod may run on by taints, selector and required affinity; amounts are another matter."""

from __future__ import annotations

from hpcai.live.kubernetes.objects import Needs, Node


def eligible(node: Node, needs: Needs) -> bool:
    """Whether ``node`` takes pods with such needs."""
    return (
        (node.open or _tolerates(needs, ("node.kubernetes.io/unschedulable", "", "NoSchedule")))
        and all(_tolerates(needs, taint) for taint in node.taints)
        and all(node.labels.get(label) == value for label, value in needs.selector)
        and (not needs.terms or any(_meets(node, term) for term in needs.terms))
    )


def _tolerates(needs: Needs, taint: tuple[str, str, str]) -> bool:
    key, value, effect = taint
    return any(
        wanted_effect in ("", effect)
        and (wanted_key == key or (not wanted_key and operator == "Exists"))
        and (operator == "Exists" or wanted_value == value)
        for wanted_key, operator, wanted_value, wanted_effect in needs.tolerations
    )


def _meets(node: Node, term: tuple[tuple[str, str, tuple[str, ...]], ...]) -> bool:
    return bool(term) and all(_rule(node, *rule) for rule in term)  # an empty term matches nothing


def _rule(node: Node, key: str, operator: str, values: tuple[str, ...]) -> bool:
    label = node.name if key == "metadata.name" else node.labels.get(key)
    match operator:
        case "In":
            return label in values
        case "NotIn":
            return label not in values
        case "Exists":
            return label is not None
        case "DoesNotExist":
            return label is None
        case "Gt" | "Lt":
            return _compares(label, operator, values)
    return False


def _compares(label: str | None, operator: str, values: tuple[str, ...]) -> bool:
    try:
        found, bound = int(label or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return found > bound if operator == "Gt" else found < bound
