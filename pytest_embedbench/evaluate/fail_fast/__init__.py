"""End an evaluation as soon as a missed limit is proven."""
