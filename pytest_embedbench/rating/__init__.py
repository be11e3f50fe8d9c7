"""Rate models from judgments, each of which says which of two models answered a query better."""
