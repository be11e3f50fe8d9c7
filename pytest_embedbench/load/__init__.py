"""Load profiles: how fast a model answers under a stated load."""
