"""The suite: which models are tested on which datasets, and which checks each pair must pass.

A suite is read from ``embedbench.toml``, or from the table ``[tool.embedbench]`` of ``pyproject.toml``. In the latter
``models`` and ``datasets`` are lists of names, so that definitions (``[models.X]``) are a level deeper, in
``[tool.embedbench.define.models.X]``. Every error names the file, the key and the fix, and is raised before any model
is loaded.
"""
