"""Encode texts into vectors, by one loop for every model: batches, workers, memory, cache, variants."""
