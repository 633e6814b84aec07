"""Metrics, and the exact evaluation of a split."""
