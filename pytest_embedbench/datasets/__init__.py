"""Datasets: what they are, which one a name means, and how their files are read."""
