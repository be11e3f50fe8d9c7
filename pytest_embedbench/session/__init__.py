"""One pytest session: options, suites, items, fixtures, what the terminal shows."""
