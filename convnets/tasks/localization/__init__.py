"""Classification and localization: a box, or a fixed number of them, beside the label."""
