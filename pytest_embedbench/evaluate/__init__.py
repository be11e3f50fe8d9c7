"""Quality of a pair: a ranking of the corpus for each query, and its scores.

A new metric is a name in ``core.measures`` and an entry in ``metrics.TREC_NAMES``, if trec_eval computes it. So that
``--embed-fail-fast`` can prove it missed, ``fail_fast.bounds`` needs its upper bound.
"""
