"""Which model is better: judgments of pairs, and ratings from them."""
