"""Binary heaps of numbers in a part of an array, ordered by a key of each; equal keys come out by number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import inlined

Ints = NDArray[np.int64]


@inlined
def heap_push(heap: Ints, base: int, size: int, item: int, key: Any) -> None:
    """Add ``item`` to the heap of ``size`` items that begins at ``base``; the caller counts it. ``key`` is by item."""
    i, value = size, key[item]
    while i > 0:
        parent = (i - 1) >> 1
        other = heap[base + parent]
        if key[other] < value or (key[other] == value and other < item):
            break
        heap[base + i] = other
        i = parent
    heap[base + i] = item


@inlined
def heap_pop(heap: Ints, base: int, size: int, key: Any) -> int:
    """Remove the first item of a heap of ``size`` and return it; the caller counts it."""
    first, item = heap[base], heap[base + size - 1]
    i, last, value = 0, size - 1, key[item]
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        at = heap[base + child]
        if child + 1 < last:
            right = heap[base + child + 1]
            if key[right] < key[at] or (key[right] == key[at] and right < at):
                child, at = child + 1, right
        if value < key[at] or (value == key[at] and item < at):
            break
        heap[base + i] = at
        i = child
    heap[base + i] = item
    return int(first)
