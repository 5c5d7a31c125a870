"""Two kinds of machine, one algorithm: functions that differ by kind, chosen when compiled code is compiled."""

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

    def chosen(st: Any, *arguments: Any) -> Any:
        raise TypeError("only compiled code may call this")

    @overload(chosen)
    def _choose(st: Any, *arguments: Any) -> Callable[..., Any]:
        by_node = not isinstance(st.types[st.fields.index("room")], types.NoneType)
        function = for_nodes if by_node else for_processors

        def call(st: Any, *arguments: Any) -> Any:
            return function(st, *arguments)

        return call

    return chosen
