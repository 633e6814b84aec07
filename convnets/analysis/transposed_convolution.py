"""The lecture's pictures of a transposed convolution, in numbers: its matrix, its stretched input, its result."""

from dataclasses import dataclass
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

from convnets.errors import InvalidValue
from convnets.layers.geometry import positions
from convnets.layers.lecture_matrices import by_inserted_zeros, by_matrix, convolution_matrix
from convnets.layers.transposed_convolution import check, output_size, transposed_convolution

MOST_PIXELS = 16
"""Side of the largest input that is shown: its matrix may have as many entries as it has pixels, squared."""

Entry = tuple[int, int]
"""Row and column, from 0."""


@dataclass(frozen=True)
class Example:
    """A transposed convolution by one filter, and the convolution that it transposes.

    Attributes:
      kernel: height and width of the filter: f.
      stride: s.
      padding: p.
      output_padding: pixels below and at the right of the result that the formula leaves out.
      map_side: w', of what the convolution gives and its transpose takes.
    """

    kernel: int
    stride: int
    padding: int
    output_padding: int
    map_side: int

    @property
    def side(self) -> int:
        """w, of the convolution's input, and of the transposed convolution's result."""
        return output_size(self.map_side, self.kernel, self.stride, self.padding, self.output_padding, 1)

    @property
    def zeros_around(self) -> int:
        """How many the lecture puts around the stretched map: f - p - 1."""
        return self.kernel - self.padding - 1

    @property
    def matrix(self) -> np.ndarray:
        """`[w' w', w w]` int: M_F, which entry of the filter is where, row by row from 1; 0 is a zero."""
        numbers = jnp.arange(1.0, self.kernel**2 + 1).reshape(self.kernel, self.kernel)
        return np.asarray(convolution_matrix(numbers, self.side, self.stride, self.padding)).astype(int)

    @property
    def stretched(self) -> np.ndarray:
        """`[w + f - 1, w + f - 1]` int: which entry of the map is where, row by row from 1; 0 is a zero."""
        before, count = self.zeros_around, self.map_side
        zeros = np.zeros((self.side + self.kernel - 1,) * 2, int)
        entries = slice(before, before + (count - 1) * self.stride + 1, self.stride)
        zeros[entries, entries] = np.arange(1, count**2 + 1).reshape(count, count)
        return zeros

    @property
    def terms(self) -> np.ndarray:
        """`[w, w]` int: how many entries of the map each pixel of the result is a sum of; 0 is a hole."""
        return np.count_nonzero(self.matrix, axis=0).reshape(self.side, self.side)

    @property
    def fullest(self) -> Entry:
        """The first pixel of the result with the most terms."""
        row, column = np.unravel_index(self.terms.argmax(), self.terms.shape)
        return int(row), int(column)

    def sum_of(self, pixel: Entry) -> list[tuple[Entry, Entry]]:
        """The entries of the filter and of the map whose products a pixel of the result is the sum of."""
        column = self.matrix[:, pixel[0] * self.side + pixel[1]]
        return [
            (divmod(int(column[place]) - 1, self.kernel), divmod(int(place), self.map_side))
            for place in np.flatnonzero(column)
        ]


def example(kernel: int, stride: int, padding: int, size: int, output_padding: int | None = None) -> Example:
    """The transpose of the convolution of `size` x `size` pixels.

    Args:
      size: w, of the convolution's input.
      output_padding: by default that with which the result is `size` x `size` again.

    Raises:
      InvalidValue: numbers that make no transposed convolution, or more than 16 pixels.
    """
    name = "the transposed convolution"
    if not 1 <= size <= MOST_PIXELS:
        raise InvalidValue(f"the size is {size}, and a matrix is shown of 1 to {MOST_PIXELS} pixels a side")
    if kernel < 1:
        raise InvalidValue(f"the kernel is {kernel}, and a filter has at least 1 pixel a side")
    check(name, kernel, stride, padding, output_padding or 0, 1, holes=True)
    map_side = positions(size, kernel, stride, padding)
    if map_side < 1:
        raise InvalidValue(
            f"a filter of {kernel} x {kernel} does not fit into {size} x {size} pixels with padding {padding}: use a "
            "larger size or a smaller kernel"
        )
    if output_padding is None:
        output_padding = (size + 2 * padding - kernel) % stride
    found = Example(kernel, stride, padding, output_padding, map_side)
    if not 1 <= found.side <= MOST_PIXELS:
        raise InvalidValue(
            f"{name} has a result of {found.side} pixels a side, and 1 to {MOST_PIXELS} are shown: use another size or "
            "output padding"
        )
    return found


def compare_forms(shown: Example) -> tuple[float, float]:
    """The matrix, the inserted zeros and the kernel that networks use, compared on normal numbers in float32.

    Returns:
      the largest difference of an entry between any two of them, and the largest entry.
    """
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (2, shown.map_side, shown.map_side, 3))
    filters = jax.random.normal(keys[1], (shown.kernel, shown.kernel, 2, 3))
    forms = by_matrix, by_inserted_zeros, transposed_convolution
    results = [
        form(x, filters, stride=shown.stride, padding=shown.padding, output_padding=shown.output_padding)
        for form in forms
    ]
    difference = max(float(jnp.abs(one - other).max()) for one, other in combinations(results, 2))
    return difference, max(float(jnp.abs(result).max()) for result in results)
