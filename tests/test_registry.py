"""Tables of named choices."""

from typing import Literal

import pytest

from convnets.errors import InvalidValue
from convnets.registry import Registry


@pytest.fixture
def fruits() -> Registry:
    registry = Registry("fruit")

    @registry.register
    def cherry(size, *, sour=False, stone):
        return ("cherry", size, sour)

    @registry.register
    def apple(size):
        return ("apple", size)

    return registry


def test_a_choice_is_found_under_the_name_of_its_function(fruits):
    assert fruits["apple"](3) == ("apple", 3)
    assert list(fruits) == ["apple", "cherry"], "sorted"


def test_registering_gives_the_function_back():
    def plum():
        return "plum"

    registry = Registry("fruit")
    assert registry.register(plum) is plum
    assert registry["plum"] is plum


def test_a_name_is_given_once(fruits):
    def apple():
        return "another"

    with pytest.raises(ValueError, match="the fruit 'apple' is registered twice"):
        fruits.register(apple)
    assert fruits["apple"](1) == ("apple", 1)


def test_an_unknown_name_is_answered_with_the_nearest(fruits):
    with pytest.raises(InvalidValue, match=r"^unknown fruit 'chery': did you mean 'cherry'\?$"):
        fruits["chery"]
    with pytest.raises(InvalidValue, match=r"^unknown fruit 'xyz': known are apple, cherry$"):
        fruits["xyz"]


def test_options_are_the_keyword_only_parameters_that_have_defaults(fruits):
    assert fruits.options("cherry") == {"sour": False}
    assert fruits.options("apple") == {}
    with pytest.raises(InvalidValue, match="unknown fruit 'pear'"):
        fruits.options("pear")


def test_options_that_a_choice_has_are_let_through(fruits):
    fruits.check_options("cherry", {"sour": True, "stone": 1})
    fruits.check_options("apple", {})


@pytest.mark.parametrize(
    ("name", "option", "sentence"),
    [
        ("cherry", "sur", r"^the fruit 'cherry' has no option 'sur': did you mean 'sour'\?$"),
        ("cherry", "xyz", "^the fruit 'cherry' has no option 'xyz': known are sour, stone$"),
        ("cherry", "size", "^the fruit 'cherry' has no option 'size'"),
        ("apple", "sour", "^the fruit 'apple' has no option 'sour': it has none$"),
    ],
)
def test_an_option_that_a_choice_does_not_have_is_refused(fruits, name, option, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        fruits.check_options(name, {option: 1})


def test_a_variant_is_a_choice_with_some_options_fixed_that_are_no_options_any_more():
    registry = Registry("fruit")

    def cherry(size, *, sour, kind: Literal["sweet", "morello"] = "sweet"):
        return size, sour, kind

    registry.variant("sour-cherry", cherry, sour=True)
    assert registry["sour-cherry"](3, kind="morello") == (3, True, "morello")
    assert registry.options("sour-cherry") == {"kind": "sweet"}
    assert list(registry) == ["sour-cherry"], "the function itself is not registered"
    with pytest.raises(InvalidValue, match="the fruit 'sour-cherry' has no option 'sour': known are kind"):
        registry.check_options("sour-cherry", {"sour": False})
    with pytest.raises(ValueError, match="the fruit 'sour-cherry' is registered twice"):
        registry.variant("sour-cherry", cherry, sour=False)


def test_an_option_of_few_values_takes_those_alone():
    registry = Registry("fruit")

    @registry.register
    def cherry(size, *, kind: Literal["sweet", "morello"] = "sweet", stones: Literal[1, 2] = 1):
        return size

    registry.check_options("cherry", {"kind": "morello", "stones": 2})
    with pytest.raises(InvalidValue, match="'kind' of the fruit 'cherry' is 'sweet' or 'morello', and was given 'x'"):
        registry.check_options("cherry", {"kind": "x"})
    with pytest.raises(InvalidValue, match="'stones' of the fruit 'cherry' is 1 or 2, and was given 3"):
        registry.check_options("cherry", {"stones": 3})
    with pytest.raises(InvalidValue, match="'stones' of the fruit 'cherry' is 1 or 2, and was given True"):
        registry.check_options("cherry", {"stones": True})


def test_a_truth_value_is_no_number_and_a_number_no_truth_value():
    registry = Registry("fruit")

    @registry.register
    def cherry(size, *, stones=1, weight=0.5, sour=False):
        return size

    registry.check_options("cherry", {"stones": 2, "weight": 1, "sour": True})
    for given, wanted in {"stones": "a whole number", "weight": "a number"}.items():
        with pytest.raises(InvalidValue, match=f"'{given}' of the fruit 'cherry' takes {wanted}, such as .*given True"):
            registry.check_options("cherry", {given: True})
    with pytest.raises(InvalidValue, match=r"'sour' of the fruit 'cherry' takes True or False, such as False, .* 1"):
        registry.check_options("cherry", {"sour": 1})
