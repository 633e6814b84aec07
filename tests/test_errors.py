"""Errors for the person at the terminal."""

import pytest

from convnets.errors import ConvnetsError, InvalidValue, nearest


def test_an_invalid_value_is_one_of_the_familys_and_a_value_error():
    assert issubclass(InvalidValue, ConvnetsError) and issubclass(InvalidValue, ValueError)
    assert not issubclass(ConvnetsError, ValueError)


@pytest.mark.parametrize(
    ("given", "allowed", "sentence"),
    [
        ("resnet5", ["resnet50", "vgg16", "lenet5"], "did you mean 'resnet50' or 'lenet5'?"),
        ("vgg-16", ["resnet50", "vgg16"], "did you mean 'vgg16'?"),
        ("transformer", ["vgg16", "alexnet"], "known are alexnet, vgg16"),
        ("aaaa", ["aaab", "aaac", "aaad", "aaae"], "did you mean 'aaae' or 'aaad' or 'aaac'?"),
    ],
)
def test_the_likely_names_come_first_and_at_most_three_else_all(given, allowed, sentence):
    assert nearest(given, allowed) == sentence
    assert nearest(given, iter(allowed)) == sentence
