"""The step on one device and on many: the same mathematics, one copy of the state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stripes import config_of, largest_difference, run_steps

from convnets.errors import InvalidValue
from convnets.layers import implementation
from convnets.parallel import AXIS, REPLICATED, Devices, sum_over_devices
from convnets.training.setup import check_batch_size

STEPS = 20
FLIP = (("flip", {}), ("pad_and_crop", {"padding": 2}))


@pytest.fixture(scope="module")
def one_device() -> dict[str, np.ndarray]:
    """The loss curve of 20 steps of LeNet-5 with batch norm and augmentation on one device."""
    return run_steps(config_of({"augmentation": FLIP}, network="lenet5_bn"), STEPS, jax.devices()[:1])


@pytest.mark.devices8
@pytest.mark.parametrize("wrapper", ["pmap", "shard_map"])
def test_eight_devices_give_the_loss_curve_of_one(one_device, wrapper):
    config = config_of({"augmentation": FLIP, "train.wrapper": wrapper}, network="lenet5_bn")
    state, figures = run_steps(config, STEPS, jax.devices())
    expected_state, expected = one_device
    assert expected["objective"][-1] < 0.8 * expected["objective"][0]
    np.testing.assert_allclose(figures["objective"], expected["objective"], rtol=2e-4)
    assert largest_difference(state.params, expected_state.params) < 2e-3
    assert largest_difference(state.batch_stats, expected_state.batch_stats) < 2e-3


def test_one_device_under_shard_map_gives_the_same_as_under_pmap(one_device):
    config = config_of({"augmentation": FLIP, "train.wrapper": "shard_map"}, network="lenet5_bn")
    _, figures = run_steps(config, 10, jax.devices()[:1])
    np.testing.assert_allclose(figures["objective"], one_device[1]["objective"][:10], rtol=1e-5)


def test_examples_are_mixed_with_the_same_partners_on_any_number_of_devices():
    config = config_of({"augmentation": (("affine", {}), ("mixup", {"alpha": 1.0}), ("cutmix", {}))})
    one, two = (run_steps(config, 5, jax.devices()[:count])[1]["objective"] for count in (1, 2))
    np.testing.assert_allclose(two, one, rtol=1e-5)


def test_the_state_is_one_logical_copy_on_all_devices():
    shapes = [jax.tree.map(np.shape, run_steps(config_of(), 1, jax.devices()[:count])[0]) for count in (1, 2)]
    assert shapes[0] == shapes[1]


@pytest.mark.devices8
def test_unsynchronized_batch_norm_differs_but_its_statistics_are_those_of_the_whole_batch():
    fields = {"batch_norm.scope": "device", "batch_norm.momentum": 0.0, "optimizer.learning_rate": 1e-9}
    apart, _ = run_steps(config_of(fields, network="lenet5_bn"), 1, jax.devices())
    whole, _ = run_steps(config_of(fields, network="lenet5_bn"), 1, jax.devices()[:1])
    # The first layer sees the same images, so its statistics over four images a device must add up to the batch's.
    assert largest_difference(apart.batch_stats["norm1"], whole.batch_stats["norm1"]) < 1e-5
    # Deeper ones see images normalized by other means.
    assert largest_difference(apart.batch_stats["norm3"], whole.batch_stats["norm3"]) > 1e-3


@pytest.mark.devices8
def test_synchronized_batch_norm_is_the_default_and_reaches_every_layer():
    whole, _ = run_steps(config_of(network="lenet5_bn"), 1, jax.devices()[:1])
    split, _ = run_steps(config_of(network="lenet5_bn"), 1, jax.devices())
    assert largest_difference(split.batch_stats, whole.batch_stats) < 1e-5


def test_several_steps_in_a_call_are_the_same_steps():
    config = config_of({"augmentation": FLIP}, network="lenet5_bn")
    single, expected = run_steps(config, 8, jax.devices()[:2])
    grouped, figures = run_steps(config, 8, jax.devices()[:2], per_call=4)
    assert int(grouped.step) == int(single.step) == 8
    np.testing.assert_allclose(figures["objective"], expected["objective"], rtol=1e-5)
    assert largest_difference(grouped.params, single.params) < 1e-4


def test_accumulated_gradients_are_those_of_the_whole_batch():
    whole, expected = run_steps(config_of(), 5, jax.devices()[:1])
    parts, figures = run_steps(config_of({"train.gradient_accumulation": 4}), 5, jax.devices()[:2])
    for name in ("objective", "top1", "weight", "gradient_norm"):
        np.testing.assert_allclose(figures[name], expected[name], rtol=1e-4)
    assert largest_difference(parts.params, whole.params) < 1e-4


def test_accumulation_moves_the_running_statistics_once_for_each_part():
    fields = {"train.gradient_accumulation": 2, "batch_norm.momentum": 0.5}
    state, _ = run_steps(config_of(fields, network="lenet5_bn"), 1, jax.devices()[:1])
    once, _ = run_steps(config_of({"batch_norm.momentum": 0.25}, network="lenet5_bn"), 1, jax.devices()[:1])
    # Two updates that keep a half leave a quarter of the initial variance 1, as one that keeps a quarter does.
    parts, whole = state.batch_stats["norm1"]["variance"], once.batch_stats["norm1"]["variance"]
    np.testing.assert_allclose(parts, whole, rtol=0.1)


def test_a_batch_that_the_devices_do_not_divide_is_refused_with_the_nearest_that_they_do():
    devices = Devices(devices=jax.devices()[:1])
    with pytest.raises(InvalidValue, match=r"train.batch_size is 100.* devices.*use 96 or 112"):
        check_batch_size(config_of({"train.batch_size": 100, "train.gradient_accumulation": 16}), devices)
    check_batch_size(config_of({"train.batch_size": 96, "train.gradient_accumulation": 16}), devices)


@pytest.mark.parametrize("wrapper", ["pmap", "shard_map"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_rematerialized_function_is_mapped_like_any_other(wrapper, count):
    def function(state, batch):
        again = jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)))
        return state + 1, jax.lax.psum(again(state * batch).sum(), AXIS)

    devices = Devices(wrapper, jax.devices()[:count])
    mapped = devices.wrap(function, (REPLICATED, REPLICATED), batch_axis=1, donate=True, rematerialized=True)
    state = devices.replicate(np.float32(2))
    for steps in (1, 3, 1):
        batch = np.linspace(0, 1, steps * 4, dtype=np.float32).reshape(steps, 4)
        expected = np.sin(np.sin(float(state) * batch)).sum()
        old = state
        state, total = mapped(state, devices.split(batch, batch_axis=1))
        assert old.is_deleted()
        np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert float(state) == 5


def test_an_unknown_wrapper_is_refused():
    with pytest.raises(InvalidValue, match="pmap, shard_map"):
        Devices("xmap")


@pytest.mark.parametrize("wrapper", ["pmap", "shard_map"])
def test_a_function_of_the_pure_kernels_is_compiled_once_for_each_shape(wrapper):
    traces = []

    def function(state, batch):
        traces.append(batch.shape)
        return state, sum_over_devices(batch.sum())

    with implementation.use("xla"):
        devices = Devices(wrapper, jax.devices()[:2])
        mapped = devices.wrap(function, (REPLICATED, REPLICATED))
        state = devices.replicate(np.float32(2))
        for size in (4, 8, 4):
            batch = np.arange(size, dtype=np.float32)
            assert float(mapped(state, devices.split(batch))[1]) == batch.sum()
    assert len(traces) == 2
