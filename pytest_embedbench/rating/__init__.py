"""Rate models: judgments of which of two is better, and ratings computed from them."""
