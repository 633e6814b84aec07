"""Parameters that come from elsewhere: from trees of arrays to trees of arrays. Knows nothing of training."""
