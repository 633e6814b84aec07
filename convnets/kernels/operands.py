"""What operations take."""

import jax.numpy as jnp
from jax import Array

from convnets.errors import InvalidValue


def check_floating(operation: str, **arrays: Array | None) -> None:
    """Refuses arrays that are not of floating point: a kernel in the type of an image of uint8 would be all zeros.

    Raises:
      InvalidValue: which array it is.
    """
    for name, array in arrays.items():
        if array is not None and not jnp.issubdtype(array.dtype, jnp.floating):
            raise InvalidValue(
                f"{operation} was given {name} of type {jnp.dtype(array.dtype).name}, and takes floating point: "
                f"convert it, as in {name}.astype(jnp.float32)"
            )
