"""What is wrong with a dataset, and what it holds: ``quick`` for every run, ``examine`` for a thorough look.

Nothing here reads files, runs a model or prints: a loaded ``Dataset`` goes in, findings and facts come out.
"""
