"""Quality of a pair: ranking and scores."""
