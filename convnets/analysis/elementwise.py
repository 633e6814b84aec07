"""The JAX primitives that compute each entry from the same entry of their inputs, and those that only move entries."""

# fmt: off
ELEMENTWISE = frozenset({
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e",
    "bessel_i1e", "cbrt", "ceil", "clamp", "clz", "complex", "conj", "convert_element_type", "cos", "cosh", "digamma",
    "div", "eq", "eq_to", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "igamma", "igammac",
    "imag", "integer_pow", "is_finite", "le", "le_to", "lgamma", "log", "log1p", "log2", "logistic", "lt", "lt_to",
    "max", "min", "mul", "mulhi", "ne", "neg", "nextafter", "not", "one_minus_square", "or", "polygamma",
    "population_count", "pow", "real", "reduce_precision", "regularized_incomplete_beta", "rem", "round", "rsqrt",
    "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square",
    "sub", "tan", "tanh", "xor", "zeta",
})

UNCHANGED = frozenset({
    "copy", "copy_p", "device_put", "layout_constraint", "name", "optimization_barrier", "pcast", "pvary",
    "sharding_constraint", "stop_gradient",
})
"""They give back what they take, one output for each input."""
# fmt: on

REARRANGING = frozenset({"broadcast_in_dim", "reshape", "squeeze", "transpose"})
"""They keep every entry."""
