"""Check whether reported numbers can be the output of any ranking at all.

``sources`` reads rows of numbers (``rows``) from cards and result files, and ``check`` runs all checks on them:
inequalities that every ranking obeys (``inequalities``), an exact test (``exact``), rules for latencies (``latency``),
and signs of a wrong evaluation, such as scores that differ from published ones (``suspicious_values``).
"""
