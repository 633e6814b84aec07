"""The one door to the architectures."""

import inspect

import pytest

from convnets import models
from convnets.errors import InvalidValue


@pytest.mark.parametrize("name", list(models.architectures))
def test_every_architecture_is_a_function_of_the_classes_with_options_that_have_defaults(name):
    first, *options = inspect.signature(models.architectures[name]).parameters.values()
    assert first.name == "num_classes"
    assert all(option.kind is option.KEYWORD_ONLY for option in options)
    assert all(option.default is not option.empty for option in options)
    assert "dtype" in {option.name for option in options}
    assert models.create(name, 7).num_classes == 7


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("lenet", r"^unknown architecture 'lenet': did you mean 'lenet5' or "),
        ("lenet5_nb", r"^unknown architecture 'lenet5_nb': did you mean 'lenet5_bn'"),
        ("qqqqqqqq", r"^unknown architecture 'qqqqqqqq': known are .*lenet5, lenet5_bn"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(given, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        models.create(given, 10)


@pytest.mark.parametrize(
    ("name", "option", "hint"),
    [
        ("lenet5", "poling", "did you mean 'pooling'"),
        ("lenet5", "norm", "known are dtype, pooling"),
        ("lenet5_bn", "nrom", "did you mean 'norm'"),
        ("lenet5", "num_classes", "known are dtype, pooling"),
    ],
)
def test_an_option_that_the_architecture_does_not_have_is_refused(name, option, hint):
    with pytest.raises(InvalidValue, match=f"the architecture '{name}' has no option '{option}': {hint}"):
        models.architectures.check_options(name, {option: 1})
    if option != "num_classes":
        with pytest.raises(InvalidValue, match=f"has no option '{option}'"):
            models.create(name, 10, **{option: 1})


@pytest.mark.parametrize("dtype", ["float64", "int8", "float31", ""])
def test_another_dtype_is_refused(dtype):
    with pytest.raises(InvalidValue, match="is not one of float32, bfloat16, float16"):
        models.create("lenet5", 10, dtype=dtype)


@pytest.mark.parametrize("num_classes", [0, -1, 10.0, "10", None, True])
def test_no_number_of_classes_is_refused(num_classes):
    with pytest.raises(InvalidValue, match=f"num_classes is {num_classes!r}, and a network needs a whole number"):
        models.create("lenet5", num_classes)
