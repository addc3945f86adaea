"""Days of orders already computed, shared by threads and bounded in size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]


class DayCache:
    """Days already computed, the least recently used dropped first; bounded by orders, shared by threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._days: OrderedDict[tuple[object, ...], Records] = OrderedDict()
        self._held = 0
        self._lock = Lock()

    def get(self, key: tuple[object, ...], compute: Callable[[], Records]) -> Records:
        """Return the day under this key, computing it on a miss."""
        with self._lock:
            found = self._days.get(key)
            if found is not None:
                self._days.move_to_end(key)
                return found
        computed = compute()
        computed.setflags(write=False)
        with self._lock:
            if key not in self._days:
                self._days[key] = computed
                self._held += computed.size + 1
            while self._held > self._capacity and len(self._days) > 1:
                self._held -= self._days.popitem(last=False)[1].size + 1
        return computed
