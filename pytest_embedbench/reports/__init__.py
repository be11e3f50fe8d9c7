"""Reports for readers: model cards, leaderboards, and the Markdown summary of a session."""
