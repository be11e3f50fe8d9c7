"""Findings about a dataset's texts and judgments, and facts about its contents.

``texts`` and ``judgments`` cost little and are part of every run (``load.with_findings``). ``examination`` is what
``embedbench doctor`` computes on top. Nothing here reads files, runs a model or prints: a loaded ``Dataset`` goes in,
findings and facts come out.
"""
