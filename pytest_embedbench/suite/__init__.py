"""The suite: which models and datasets are paired, and which checks each pair must pass.

A suite is read from ``embedbench.toml`` or from ``[tool.embedbench]`` in ``pyproject.toml`` (there, the tables
``[models.X]`` and ``[datasets.X]`` are ``[tool.embedbench.define.models.X]``, since ``models`` is the list). Every
error names the file, the key and the fix, and comes before any model is loaded.
"""
