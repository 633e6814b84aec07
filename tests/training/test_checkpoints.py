"""Checkpoints: which are kept, and what a restore refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from convnets.errors import InvalidValue
from convnets.training.checkpoints import CheckpointMismatch, Checkpoints
from convnets.training.state import TrainState


def state_of(classes=10, norm=True, average=False, step=0):
    random = np.random.default_rng(0)
    shapes = {"conv1": {"kernel": (5, 5, 1, 6)}, "logits": {"kernel": (84, classes), "bias": (classes,)}}
    params = jax.tree.map(
        lambda shape: jnp.float32(random.normal(size=shape) + step), shapes, is_leaf=lambda x: isinstance(x, tuple)
    )
    return TrainState(
        step=jnp.int32(step),
        params=params,
        batch_stats={"norm1": {"mean": jnp.full(6, step, jnp.float32)}} if norm else {},
        optimizer_state=optax.trace(0.9).init(params),
        average=jax.tree.map(jnp.copy, params) if average else None,
        plateau=None,
    )


def test_a_state_comes_back_bit_for_bit_with_its_memory(tmp_path):
    state = state_of(step=3, average=True)
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(3, state, {"seconds": {"training": 1.5}, "best_step": None})
    with Checkpoints(tmp_path / "c") as checkpoints:
        restored = checkpoints.restore(3, state_of(average=True))
        assert checkpoints.memory(3) == {"seconds": {"training": 1.5}, "best_step": None}
    assert type(restored) is type(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_the_latest_and_the_best_are_kept(tmp_path):
    best = []
    with Checkpoints(tmp_path, keep=2, best_step=lambda: best[-1] if best else None) as checkpoints:
        for step in range(1, 7):
            checkpoints.save(step, state_of(step=step), {})
            if step == 2:
                best.append(2)
        checkpoints.wait()
        assert checkpoints.steps == [2, 5, 6]


def test_whoever_waits_is_told_of_each_whole_step_and_of_what_went_wrong_in_telling(tmp_path):
    told = []

    def tell(step):
        assert (tmp_path / str(step)).is_dir()
        told.append(step)
        if step == 2:
            raise OSError("the line is dead")

    with Checkpoints(tmp_path, when_whole=tell) as checkpoints:
        checkpoints.save(1, state_of(step=1), {})
        checkpoints.save(2, state_of(step=2), {})
        with pytest.raises(OSError, match="the line is dead"):
            checkpoints.wait()
    assert told == [1, 2]


def test_a_step_that_is_there_is_not_written_again(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state_of(step=1), {"first": True})
        checkpoints.save(1, state_of(step=2), {"first": False})
        checkpoints.wait()
        assert checkpoints.memory(1) == {"first": True}


def test_donating_the_saved_buffers_afterwards_does_not_reach_the_checkpoint(tmp_path):
    state = state_of(step=1)
    expected = jax.tree.map(np.array, state)
    overwrite = jax.jit(lambda state: jax.tree.map(lambda x: x * 0 - 7, state), donate_argnums=0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        for _ in range(5):
            state = overwrite(state)
        jax.block_until_ready(state)
        checkpoints.wait()
        jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(1, expected), expected)


@pytest.mark.parametrize(
    ("like", "complaint"),
    [
        ({"classes": 11}, r"params/logits/bias is float32\[10\] and not float32\[11\]"),
        ({"norm": False}, "batch_stats/norm1/mean is left over"),
        ({"average": True}, "average/conv1/kernel is missing"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, like, complaint):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state_of(), {})
        checkpoints.wait()
        with pytest.raises(CheckpointMismatch, match=complaint):
            checkpoints.restore(1, state_of(**like))


def test_a_step_that_was_never_saved_is_refused_with_those_that_were(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, state_of(), {})
        checkpoints.wait()
        with pytest.raises(InvalidValue, match="no checkpoint of step 5: there are 4"):
            checkpoints.restore(5, state_of())
