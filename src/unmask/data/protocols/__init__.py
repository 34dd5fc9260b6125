"""Named train / val / test combinations, and what they refuse."""
