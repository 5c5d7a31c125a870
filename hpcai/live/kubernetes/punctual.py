"""Connections that must get on with it: one that leaves a request's head unfinished is closed."""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE: Final = 5.0  # s between two looks; a head that is unfinished at both is late


class PunctualProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, less the connections that only keep a place taken."""

    _late = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at the connection."""
        super().connection_made(transport)
        self.loop.call_later(PATIENCE, self._look)

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        unfinished = self.cycle is None or begun
        if unfinished and self._late:
            self.transport.abort()
            return
        self._late = unfinished
        self.loop.call_later(PATIENCE, self._look)
