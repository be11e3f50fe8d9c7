"""The work on a pair of model and dataset, done once; independent of pytest."""
