"""Datasets: what they consist of, where they are, and how their files are read.

A name becomes a ``NamedDataset`` in ``suite/dataset_names.py``; ``load.load_dataset`` turns that into a ``Dataset``.
"""
