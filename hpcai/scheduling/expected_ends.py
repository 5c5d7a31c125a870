"""The order of the running set: latest expected end first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcai.jit import jit

if TYPE_CHECKING:
    from hpcai.scheduling.state import State


@jit
def settle(st: State, r: int, j: int, end: float) -> None:
    """Put job ``j`` with expected end ``end`` in its place, ``r`` or above; what stands at ``r`` is given up."""
    while r > 0 and st.running[r - 1].end < end:
        st.running[r].end = st.running[r - 1].end
        st.running[r].job = st.running[r - 1].job
        r -= 1
    st.running[r].end = end
    st.running[r].job = j
