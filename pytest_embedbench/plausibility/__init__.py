"""Check whether reported numbers can be the output of any ranking at all.

A row of numbers (``rows``), whoever printed it, is checked by inequalities that every ranking obeys
(``inequalities``), by an exact test (``exact``), by rules for latencies (``latency``), and against published facts of
its dataset and model (``signs``). ``check`` runs all of them; ``sources`` reads rows from cards and result files.
"""
