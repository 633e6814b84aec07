"""The one place where a per-device function becomes a function of all devices.

The function is written for one device's part of the batch, with collectives over the axis `AXIS`. The state is never
stacked: one logical copy goes in and one comes out, so a checkpoint serves any number of devices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from convnets.errors import InvalidValue
from convnets.layers.implementation import compiler_options, implementation

AXIS = "devices"
WRAPPERS = ("pmap", "shard_map")

KEEP_BARRIERS: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}
"""Without it XLA's CPU compiler merges what is computed again with what was computed before, and saves no memory."""

REPLICATED = "replicated"
SPLIT = "split"


class Devices:
    """The local devices of this process, and with them those of all processes.

    Args:
      wrapper: "pmap", or "shard_map" (the same functions under `jax.jit(jax.shard_map(...))`).
      devices: the local devices to use, by default all.
    """

    def __init__(self, wrapper: str = "pmap", devices: Sequence[jax.Device] | None = None):
        if wrapper not in WRAPPERS:
            raise InvalidValue(f"train.wrapper is {wrapper!r}, and must be one of {', '.join(WRAPPERS)}")
        self.wrapper = wrapper
        self.local = list(devices or jax.local_devices())
        everywhere = list(devices) if devices and jax.process_count() == 1 else jax.devices()
        self.count = len(everywhere)
        self._mesh = Mesh(np.array(everywhere), (AXIS,))
        self._local_split = NamedSharding(Mesh(np.array(self.local), (AXIS,)), PartitionSpec(AXIS))
        # Many host devices on few cores can starve each other's rendezvous when steps are queued ahead.
        self._wait = self.local[0].platform == "cpu" and self.count > 1

    def wrap(
        self,
        function: Callable[[Any, Any], Any],
        outputs: tuple[str, str],
        *,
        batch_axis: int = 0,
        donate: bool = False,
        rematerialized: bool = False,
    ) -> Callable[[Any, Any], Any]:
        """A function of (state, batch on all devices) from one of (state, batch on one device).

        Args:
          function: returns a pair.
          outputs: for each of the pair, "replicated" (equal on all devices) or "split" (along the batch axis).
          batch_axis: which axis of the batch's arrays is split: 0, or 1 behind an axis of successive steps.
          donate: whether the state's buffers may be overwritten.
          rematerialized: whether the function computes again what it would otherwise keep.
        """
        donated = (0,) if donate else ()
        options: dict[str, str | bool] = {}
        if self.local[0].platform == "cpu":
            options = compiler_options() | (KEEP_BARRIERS if rematerialized else {})
        if self.wrapper == "pmap":
            mapped = jax.pmap(
                function,
                axis_name=AXIS,
                in_axes=(None, 0),
                out_axes=tuple(None if kind == REPLICATED else 0 for kind in outputs),
                donate_argnums=donated,
                devices=None if jax.process_count() > 1 else self.local,
            )
            # A pmapped function that is compiled by hand takes arrays of one process only.
            if options and jax.process_count() == 1:
                mapped = _compiled_with(options, mapped)
        else:
            split = PartitionSpec(*([None] * batch_axis), AXIS)
            mapped = jax.jit(
                jax.shard_map(
                    function,
                    mesh=self._mesh,
                    in_specs=(PartitionSpec(), split),
                    out_specs=tuple(PartitionSpec() if kind == REPLICATED else split for kind in outputs),
                    # As under pmap: gradients of replicated parameters are each device's own until they are summed.
                    check_vma=False,
                ),
                donate_argnums=donated,
                compiler_options=options,
            )
        return _blocking(mapped) if self._wait else mapped

    def split(self, batch: Any, batch_axis: int = 0) -> Any:
        """Starts the transfer of this process's part of a batch, an equal share of the axis to each local device."""
        if self.wrapper == "shard_map":
            sharding = NamedSharding(self._mesh, PartitionSpec(*([None] * batch_axis), AXIS))
            return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)
        # The whole tree in one call: each call costs more than copying a small array.
        return jax.device_put(self._stack(batch, batch_axis), self._local_split)

    def feed(self, batch: Any, batch_axis: int = 0) -> Any:
        """As `split`, for a batch that is used once: on CPU a pmapped function takes it from the host by itself."""
        if self.wrapper == "pmap" and self.local[0].platform == "cpu":
            return self._stack(batch, batch_axis)
        return self.split(batch, batch_axis)

    def _stack(self, batch: Any, batch_axis: int) -> Any:
        """With the local devices as the first axis."""
        count = len(self.local)

        def stack(x: np.ndarray) -> np.ndarray:
            shape = (*x.shape[:batch_axis], count, x.shape[batch_axis] // count, *x.shape[batch_axis + 1 :])
            return np.moveaxis(x.reshape(shape), batch_axis, 0)

        return jax.tree.map(stack, batch)

    def join(self, outputs: Any) -> Any:
        """A "split" output of batch axis 0 -> NumPy arrays `[n, ...]` over this process's examples, in their order."""

        def local(x: jax.Array) -> np.ndarray:
            shards = sorted(x.addressable_shards, key=lambda shard: shard.index[0].start or 0)
            parts = [np.asarray(shard.data) for shard in shards]
            whole = np.concatenate(parts)
            return whole.reshape(-1, *whole.shape[2:]) if self.wrapper == "pmap" else whole

        return jax.tree.map(local, outputs)

    def replicate(self, state: Any) -> Any:
        """The state, one logical copy on every device of this process."""
        if self.wrapper == "shard_map":
            sharding = NamedSharding(self._mesh, PartitionSpec())
            return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), state)
        sharding = NamedSharding(Mesh(np.array(self.local), (AXIS,)), PartitionSpec())
        return jax.device_put(state, sharding)


def sum_over_devices(tree: Any) -> Any:
    """Within a mapped function, the sum of each array over the devices."""
    # XLA carries a sum over one device out, by copying all of it.
    return jax.lax.psum(tree, AXIS) if jax.lax.axis_size(AXIS) > 1 else tree


def _blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return jax.block_until_ready(function(*arguments))

    return call


def _compiled_with(options: dict[str, str | bool], mapped: Any) -> Callable[[Any, Any], Any]:
    """A pmapped function compiled with options of XLA's, once for each shape of the batch and implementation."""
    programs: dict[Any, Any] = {}

    def call(state: Any, batch: Any) -> Any:
        key = implementation(), *(array.shape for array in jax.tree.leaves(batch))
        if key not in programs:
            programs[key] = mapped.lower(state, batch).compile(compiler_options=options)
        return programs[key](state, batch)

    return call
