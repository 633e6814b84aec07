"""Where examples come from, and the pipeline that serves them."""

from convnets.data.sources import create, describe, sources

__all__ = ["create", "describe", "sources"]
