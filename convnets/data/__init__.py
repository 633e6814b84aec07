"""Where examples come from, and the pipeline that serves them."""

from convnets.data.source import ArraySource, Source, SourceInfo
from convnets.data.sources import create, describe, sources

__all__ = ["ArraySource", "Source", "SourceInfo", "create", "describe", "sources"]
