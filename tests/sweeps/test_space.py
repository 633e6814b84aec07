"""What `sweep()` may yield, and what is refused."""

import pytest

from convnets.errors import InvalidValue
from convnets.sweeps.space import (
    Choice,
    Range,
    choice,
    grid,
    integers,
    log_uniform,
    product,
    seeds,
    space_of,
    uniform,
    zipped,
)


def test_a_grid_has_every_combination_and_its_last_field_varies_fastest():
    assert grid({"a": (1, 2), "b": ("x", "y", "z")}) == [
        *({"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1, "b": "z"}),
        *({"a": 2, "b": "x"}, {"a": 2, "b": "y"}, {"a": 2, "b": "z"}),
    ]


def test_zipped_fields_go_together():
    assert zipped({"a": (1, 2), "b": ("x", "y")}) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_a_product_merges_each_dict_with_each():
    assert product(zipped({"a": (1, 2), "b": (3, 4)}), seeds(2)) == [
        *({"a": 1, "b": 3, "seed": 0}, {"a": 1, "b": 3, "seed": 1}),
        *({"a": 2, "b": 4, "seed": 0}, {"a": 2, "b": 4, "seed": 1}),
    ]


def test_a_range_holds_its_bounds_and_nothing_beyond():
    assert 0.1 in uniform(0.1, 0.5) and 0.5 in log_uniform(0.1, 0.5) and 3 in integers(1, 3)
    assert 0.51 not in uniform(0.1, 0.5) and 0 not in integers(1, 3) and "x" not in uniform(0, 1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: uniform(1, 1), "uniform(1, 1) needs finite bounds, and the lower one first"),
        (lambda: uniform(2, 1), "the lower one first"),
        (lambda: uniform(0, float("inf")), "needs finite bounds"),
        (lambda: uniform("a", 2), "needs two numbers as bounds"),
        (lambda: uniform(False, True), "needs two numbers as bounds"),
        (lambda: log_uniform(0, 1), "log_uniform(0, 1) needs bounds above zero, for their logarithms"),
        (lambda: log_uniform(-1, 1), "needs bounds above zero"),
        (lambda: integers(0.5, 2), "integers(0.5, 2) needs two whole numbers as bounds"),
        (lambda: choice("sgd"), "choice('sgd',) needs two values or more, each once"),
        (lambda: choice("a", "b", "a"), "each once"),
        (lambda: grid({"a": ()}), "grid() takes a list or tuple of values of 'a', and was given ()"),
        (lambda: grid({"a": "sgd"}), "takes a list or tuple of values of 'a', and was given 'sgd'"),
        (lambda: grid({"a": 3}), "takes a list or tuple of values of 'a', and was given 3"),
        (lambda: zipped({"a": (1, 2), "b": (1,)}), "as many values of each field, and was given 2 of a, 1 of b"),
        (lambda: product(seeds(2), grid({"seed": (5,)})), "product() was given 'seed' in two of its parts"),
        (lambda: seeds(0), "seeds(0) needs a whole number above zero"),
    ],
)
def test_what_can_not_be_is_refused_where_it_is_written(make, sentence):
    with pytest.raises(InvalidValue) as refusal:
        make()
    assert sentence in str(refusal.value)


def test_fixed_trials_stay_in_their_order():
    space = space_of(product(grid({"a": (2, 1)}), seeds(2)))
    assert [(each["a"], each["seed"]) for each in space.fixed] == [(2, 0), (2, 1), (1, 0), (1, 1)]
    assert space.search == {} and space.fields == ["a", "seed"]


def test_a_dict_with_distributions_is_a_search_and_fixed_dicts_its_starting_points():
    space = space_of(
        [
            {"rate": 0.1},
            {"rate": log_uniform(0.01, 1.0), "name": choice("sgd", "adamw"), "decay": 0.0},
            {"rate": 0.2, "name": "adamw", "decay": 0.0},
        ]
    )
    assert space.search == {"rate": Range(0.01, 1.0, log=True), "name": Choice(("sgd", "adamw"))}
    assert space.constants == {"decay": 0.0}
    assert space.fixed == ({"rate": 0.1}, {"rate": 0.2, "name": "adamw"})


@pytest.mark.parametrize(
    ("yielded", "sentence"),
    [
        (None, "yields dicts from fields to values, and returned None"),
        ({"a": 1}, "yields dicts from fields to values, and returned {'a': 1}"),
        ([], "sweep() yields nothing"),
        ([3], "yields dicts from fields to values, and yielded 3"),
        ([{}], "and yielded {}"),
        ([{"a": 1}, {"a": 1}], "yields the trial {'a': 1} twice"),
        ([{"a": uniform(0, 1)}, {"a": uniform(1, 2)}], "yields 2 dicts with distributions"),
        ([{"b": 1}, {"a": uniform(0, 1)}], "sets 'b', for which the search has no distribution"),
        ([{"a": 2}, {"a": uniform(0, 1)}], "the starting point {'a': 2} is not in 'a': uniform(0.0, 1.0)"),
        ([{"a": "z"}, {"a": choice("x", "y")}], "is not in 'a': choice('x', 'y')"),
    ],
)
def test_what_is_no_sweep_is_refused(yielded, sentence):
    with pytest.raises(InvalidValue) as refusal:
        space_of(yielded)
    assert sentence in str(refusal.value)


def test_true_and_one_are_two_values():
    assert len(space_of([{"a": 1}, {"a": True}]).fixed) == 2
