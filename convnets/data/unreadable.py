"""Pictures that can't be decoded: named, counted, and passed over up to a limit.

Who decodes may be another process than the one that counts: a batch that worker processes hand over says in
`unreadable` which pictures it went without, and `Reader` (pipeline.py) has them counted.
"""

import logging
import threading
from typing import Any

from convnets.data.decoding import UnreadableImage
from convnets.errors import InvalidValue

log = logging.getLogger(__name__)


class UnreadablePictures:
    """The unreadable pictures of a split, as far as they were met.

    Sent to a worker process, it counts no longer there: it passes over what is not refused outright.

    Args:
      limit: so many different ones may be passed over.
    """

    def __init__(self, limit: int, counts: bool = True):
        self.limit, self.counts = limit, counts
        self.places: set[int] = set()
        self._lock = threading.Lock()

    def pass_over(self, index: int, error: UnreadableImage) -> None:
        """Logs the picture at a place of the split, the first time that it is met.

        Raises:
          InvalidValue: there are more than the limit.
        """
        if self.limit and not self.counts:
            return
        with self._lock:
            known = index in self.places
            self.places.add(index)
            count = len(self.places)
        if count > self.limit:
            more = f"and {self.limit} were passed over before it" if self.limit else "and none is to be passed over"
            advice = f"{error.advice}, or else " if error.advice else ""
            raise InvalidValue(
                f"{error.fault}, {more}: {advice}replace it, remove it, or raise data.unreadable above {self.limit}"
            ) from error
        if not known:
            log.warning("%s: passed over, %d of at most %d", error.fault, count, self.limit)

    def __reduce__(self) -> tuple[Any, ...]:
        return UnreadablePictures, (self.limit, False)
