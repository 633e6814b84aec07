"""A transposed convolution in numbers, against the slides and NumPy."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from convnets.analysis.transposed_convolution import compare_forms, example
from convnets.errors import InvalidValue

SHOWN = [(3, 2, 1, 5), (3, 1, 0, 4), (1, 1, 0, 1), (3, 2, 1, 6), (2, 3, 0, 8), (5, 3, 2, 9)]


def test_the_slides_example_goes_from_5_to_3_and_back_by_way_of_7():
    shown = example(3, 2, 1, 5)
    assert (shown.map_side, shown.side, shown.output_padding, shown.zeros_around) == (3, 5, 0, 1)
    assert shown.matrix.shape == (9, 25)
    np.testing.assert_array_equal(
        shown.stretched,
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 0, 2, 0, 3, 0],
            [0, 0, 0, 0, 0, 0, 0],
            [0, 4, 0, 5, 0, 6, 0],
            [0, 0, 0, 0, 0, 0, 0],
            [0, 7, 0, 8, 0, 9, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ],
    )
    np.testing.assert_array_equal(shown.terms[:2], [[1, 2, 1, 2, 1], [2, 4, 2, 4, 2]])
    # X_22 = F_33 S_11 + F_31 S_12 + F_13 S_21 + F_11 S_22.
    assert shown.fullest == (1, 1)
    assert shown.sum_of((1, 1)) == [((2, 2), (0, 0)), ((2, 0), (0, 1)), ((0, 2), (1, 0)), ((0, 0), (1, 1))]


def test_the_matrix_of_2x2_filters_is_the_slides():
    first = [1, 2, 0, 0, 3, 4] + [0] * 10
    second = [0, 0, 1, 2, 0, 0, 3, 4] + [0] * 8
    below = [[0] * 8 + row[:8] for row in (first, second)]
    np.testing.assert_array_equal(example(2, 2, 0, 4).matrix, [first, second, *below])


@pytest.mark.parametrize("numbers", SHOWN, ids=str)
def test_a_window_on_the_stretched_map_adds_what_the_matrix_says(numbers):
    """As many products in each pixel, and those of the entries that lie under the rotated filter."""
    shown = example(*numbers)
    assert shown.side == numbers[3]
    f, stretched = shown.kernel, shown.stretched
    np.testing.assert_array_equal(shown.terms, correlate2d(np.sign(stretched), np.ones((f, f), int), mode="valid"))
    rotated = np.arange(f * f, 0, -1).reshape(f, f)
    row, column = shown.fullest
    window = stretched[row : row + f, column : column + f]
    by_hand = {(int(rotated[place]), int(window[place])) for place in zip(*np.nonzero(window), strict=True)}
    given = {
        (filters[0] * f + filters[1] + 1, entry[0] * shown.map_side + entry[1] + 1)
        for filters, entry in shown.sum_of(shown.fullest)
    }
    assert given == by_hand


def test_another_output_padding_gives_another_size_that_the_convolution_brings_to_the_same():
    assert (example(3, 2, 1, 5, 1).side, example(3, 2, 1, 6).side, example(3, 2, 1, 6).output_padding) == (6, 6, 1)
    assert example(3, 2, 1, 6, 0) == example(3, 2, 1, 5)


@pytest.mark.parametrize("numbers", SHOWN, ids=str)
def test_the_three_forms_agree_to_rounding(numbers):
    difference, largest = compare_forms(example(*numbers))
    assert largest > 1 and difference < 1e-5 * largest


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((3, 2, 1, 17), "the size is 17, and a matrix is shown of 1 to 16 pixels a side"),
        ((3, 2, 1, 0), "the size is 0"),
        (
            (5, 1, 0, 4),
            "a filter of 5 x 5 does not fit into 4 x 4 pixels with padding 0: use a larger size or a smaller",
        ),
        ((3, 2, 3, 5), "the transposed convolution has padding 3, and its filters of 3 pixels allow 0 to 2"),
        ((3, 2, 1, 5, 2), "the transposed convolution has output padding 2, and its stride of 2 allows 0 to 1"),
        ((3, 0, 1, 5), "the transposed convolution has stride 0, and must have at least 1"),
        ((3, 3, 2, 1, 0), "the transposed convolution has a result of -1 pixels a side"),
        ((2, 2, 0, 16, 1), "the transposed convolution has a result of 17 pixels a side, and 1 to 16 are shown"),
    ],
)
def test_what_can_not_be_shown_is_refused(numbers, sentence):
    with pytest.raises(InvalidValue, match=f"^{sentence}"):
        example(*numbers)
