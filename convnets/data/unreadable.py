"""Pictures that can't be decoded: named, counted, and passed over up to a limit."""

import logging
import threading
from typing import Any

from convnets.data.decoding import UnreadableImage
from convnets.errors import InvalidValue

log = logging.getLogger(__name__)


class Unreadable:
    """The unreadable pictures of a split, as far as they were met in this process.

    Args:
      limit: so many different ones may be passed over.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.places: set[int] = set()
        self._lock = threading.Lock()

    def pass_over(self, index: int, error: UnreadableImage) -> None:
        """Logs the picture at a place of the split, the first time that it is met.

        Raises:
          InvalidValue: there are more than the limit.
        """
        with self._lock:
            if index in self.places:
                return
            self.places.add(index)
            count = len(self.places)
        if count > self.limit:
            more = f"and {self.limit} were passed over before it" if self.limit else "and none is to be passed over"
            raise InvalidValue(
                f"{error}, {more}: replace it, remove it, or raise data.unreadable above {self.limit}"
            ) from error
        log.warning("%s: passed over, %d of at most %d", error, count, self.limit)

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit, "places": set(self.places)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["limit"])  # type: ignore[misc]
        self.places = state["places"]
