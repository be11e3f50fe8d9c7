"""Words that every room uses: measures, limits, runs, batches, files."""
