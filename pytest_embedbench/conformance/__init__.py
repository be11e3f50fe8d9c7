"""Probes of a model, as loaded or as served: whether it is the model that it claims to be.

They need no judgments and take seconds. A new probe is a file here with a tuple ``PROBES``, and its name in ``probes``.
Suites know the probes when they are read, so modules here import numpy inside functions.
"""
