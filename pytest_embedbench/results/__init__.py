"""Store results on disk: a documented schema, whole files or none, every number with its evidence beside it."""
