"""What part of the image a response sees: windows, and how they grow from layer to layer (lecture: "The power of small
filters").

The arithmetic of one spatial axis. A convolution or pool whose windows reach over k responses, s apart, of a map with
fields of `size` pixels, `stride` apart, has fields of `size + (k - 1) stride` pixels, `s stride` apart.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """The receptive fields of a map along one axis: response i sees pixels `start(i)` to `start(i) + size - 1`.

    Attributes:
      size: in pixels, at the least 1. Every pixel in between counts, also one that a stride or dilation skips.
      stride: pixels from one response's field to the next one's.
      offset: the first pixel that response 0 sees; negative where that lies in the padding.
    """

    size: int = 1
    stride: int = 1
    offset: int = 0

    def start(self, position: int) -> int:
        """The first pixel that a response sees.

        >>> Field(size=7, stride=2, offset=-3).start(2)
        1
        """
        return self.offset + position * self.stride

    def window(self, size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> "Field":
        """The fields of the windows of a convolution or pool on a map with these fields.

        Args:
          size: responses in a window.
          stride: responses from one window to the next.
          padding: responses added before the first.
          dilation: responses from one of a window to its next.

        >>> Field().window(3, padding=1).window(3, padding=1).window(3, padding=1)  # three of 3x3 see 7x7
        Field(size=7, stride=1, offset=-3)
        """
        reach = (size - 1) * dilation * self.stride
        return Field(self.size + reach, self.stride * stride, self.offset - padding * self.stride)

    def over(self, positions: int) -> "Field":
        """The field of what sees the first so many responses, all at once.

        >>> Field(size=3, stride=2, offset=-1).over(4)
        Field(size=9, stride=2, offset=-1)
        """
        return self.window(positions)

    def union(self, other: "Field") -> "Field":
        """The smallest field that has both in it, response by response.

        Raises:
          ValueError: fields of different strides, which drift apart.

        >>> Field(size=3, offset=-1).union(Field(size=1))
        Field(size=3, stride=1, offset=-1)
        """
        if self.stride != other.stride:
            raise ValueError(f"fields {self.stride} and {other.stride} pixels apart have no union at every response")
        return self._around(other, self.stride)

    def union_of_single(self, other: "Field") -> "Field":
        """The smallest field that has both in it, where there is but one response of each.

        The next response would repeat both where both strides meet.
        """
        return self._around(other, math.lcm(self.stride, other.stride))

    def _around(self, other: "Field", stride: int) -> "Field":
        offset = min(self.offset, other.offset)
        return Field(max(self.start(0) + self.size, other.start(0) + other.size) - offset, stride, offset)
