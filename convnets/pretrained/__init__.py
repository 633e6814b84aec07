"""Weights from elsewhere: file formats, names, surgery and freezing. Knows nothing of training."""
