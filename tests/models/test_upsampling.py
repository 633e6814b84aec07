"""Up-sampling that keeps responses in their places, against straight lines and JAX's own resize."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convnets.models.upsampling import Grid, Step, Upsampling, between, interpolate, to_pixels

STEPS = [
    Step(2, (0.0, 0.0)),
    Step(2, (0.5, 0.5)),
    Step(2, (-1.0, 2.0)),
    Step(3, (1.0, 1.0)),
    Step(8, (3.5, -4.5)),
    Step(8, (0.0, 0.0)),
    Step(4, (9.0, 13.0)),
    Step(4, (-9.5, -2.5)),
    Step(1, (1.0, 0.0)),
]
SIZES = [(8, 8), (17, 23), (5, 40)]


def maps(*shape):
    return jax.random.normal(jax.random.key(0), shape)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", STEPS)
def test_a_learned_layer_begins_as_interpolation(step, size):
    x = maps(2, 5, 4, 3)
    layer = Upsampling(3)
    variables = layer.init(jax.random.key(1), x, step, size)
    np.testing.assert_allclose(layer.apply(variables, x, step, size), interpolate(x, step, size), atol=2e-6)


@pytest.mark.parametrize("step", STEPS)
def test_a_straight_line_stays_one_between_the_outermost_responses(step):
    (rows, columns), factor = step.offsets, step.factor
    places_down, places_across = rows + factor * np.arange(6), columns + factor * np.arange(5)
    x = jnp.asarray(3.0 * places_down[:, None] - 2.0 * places_across, jnp.float32)[None, ..., None]
    size = (6 * factor + 3, 5 * factor + 3)
    result = np.asarray(interpolate(x, step, size))[0, ..., 0]
    down, across = (
        np.arange(wanted).clip(places[0], places[-1])
        for wanted, places in zip(size, (places_down, places_across), strict=True)
    )
    np.testing.assert_allclose(result, 3.0 * down[:, None] - 2.0 * across, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_where_a_map_covers_the_image_evenly_it_is_a_resize(factor):
    x = maps(1, 5, 7, 2)
    step = to_pixels(Grid(factor, (factor - 1) / 2), 0, 0)
    size = (5 * factor, 7 * factor)
    expected = jax.image.resize(x, (1, *size, 2), "linear")
    np.testing.assert_allclose(interpolate(x, step, size), expected, atol=1e-5)


def test_maps_whose_places_do_not_fit_are_refused():
    assert between(Grid(16, 7.5), Grid(8, 3.5)) == Step(2, (0.5, 0.5))
    with pytest.raises(ValueError, match="can't be brought"):
        between(Grid(16, 7.5), Grid(8, 3.0))
    with pytest.raises(ValueError, match="can't be brought"):
        between(Grid(12, 0.0), Grid(8, 0.0))
