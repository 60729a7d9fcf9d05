"""Memory of a process whose first list is most of what it will ever hold: the collector's and malloc's part.

1. The first list makes a million objects that stay, and next to none that only the collector could free:
   it looks at them every ``_MANY``, lest a source that fails for hours leaves its errors lying about.
2. Then what there is counts as staying, and it looks at what comes later, every ``_SOME``.  To look at all
   of it once took 0.7 s at 100 000 Services, so that is done only where a failure may have left something.
3. What the list left unused goes back to the system: some 5 MB at 10 000 Services.
"""

import ctypes
import gc
from contextlib import suppress

_M_ARENA_MAX = -8
_MANY, _SOME = 2_000_000, 50_000


def before_first_list() -> None:
    """Call it before threads start: they share one arena of malloc then, and leave no holes in others."""
    gc.set_threshold(_MANY)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def after_first_list(*, failures: bool = True) -> None:
    """Call it once nothing of the first list is on its way any more; ``failures``: maybe some."""
    gc.set_threshold(_SOME, 20, 100)
    if failures:
        gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
