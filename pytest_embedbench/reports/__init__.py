"""What a reader sees: model cards, leaderboards, the Markdown summary."""
