"""Two kinds of machine, with or without a predictor, one algorithm: what differs is chosen when code is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import overload


def by_kind(for_processors: Callable[..., Any], for_nodes: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for compiled code that calls the one or the other, by the type of the state.

    On a machine counted by processor the state has no room on nodes. So code for nodes is compiled only when a
    machine counted by node comes up.
    """
    return _by_field("room", for_nodes, for_processors)


def if_predicting(function: Callable[..., Any], otherwise: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Return a function for compiled code that calls ``function`` if run times are predicted, else ``otherwise``.

    Without a predictor the state has no prediction, and whoever uses none pays for none. By default nothing is done.
    """
    return _by_field("prediction", function, otherwise)


def _by_field(field: str, present: Callable[..., Any], absent: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a function that calls ``present`` if the state has the field, else ``absent``, if there is one."""

    def chosen(st: Any, *arguments: Any) -> Any:
        raise TypeError("only compiled code may call this")

    @overload(chosen)
    def _choose(st: Any, *arguments: Any) -> Callable[..., Any]:
        function = present if _has(st, field) else absent
        if function is None:

            def skip(st: Any, *arguments: Any) -> Any:
                pass

            return skip

        def call(st: Any, *arguments: Any) -> Any:
            return function(st, *arguments)

        return call

    return chosen


def _has(st: Any, field: str) -> bool:
    """Return whether a field of the state, known by its type alone, is anything but None."""
    return not isinstance(st.types[st.fields.index(field)], types.NoneType)
