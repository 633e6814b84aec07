"""Compiled kernels for x86-64 processors under Linux: oneDNN and a little C++ behind `jax.ffi`."""
