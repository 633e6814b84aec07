"""This library and PyTorch on the same work and the same CPU, each in a process of its own."""
