"""Plausibility: can these numbers be the output of any ranking at all?

A row of numbers (``rows``), whoever printed it, is held against inequalities that every ranking obeys (``bounds``),
against an exact test (``exact``), and against what is known of its dataset and model (``signs``). ``check`` puts them
together; ``sources`` reads rows from cards and result files.
"""
