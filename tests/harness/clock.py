"""How long something took, whatever else this machine had to do meanwhile."""

import threading
import time

_TICK = 0.05
#: When a sleeper should have woken up, and did: where that was late.
_late: list[tuple[float, float]] = []
_due = time.monotonic()


def _run():
    global _due
    while True:
        _due = time.monotonic() + _TICK
        time.sleep(_TICK)
        woke = time.monotonic()
        if woke > _due + 0.01:
            _late.append((_due, woke))


threading.Thread(target=_run, daemon=True).start()


def took(begun: float) -> float:
    """The seconds since, without those for which a sleeper was not woken up: for upper bounds."""
    now = time.monotonic()
    lost = max(0.0, now - max(_due, begun))
    for due, woke in reversed(_late):
        if woke < begun:
            break
        lost += woke - max(due, begun)
    return now - begun - lost
