"""Kinds of checks, one in each file, with the way they are judged. They know neither pytest nor torch.

A new kind is a file with a subclass of ``check.Check`` and a line in ``registry``; ``suite.plan`` makes its instances
from the tables of a suite.
"""
