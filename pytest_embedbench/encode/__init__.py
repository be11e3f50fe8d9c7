"""Texts to vectors: one plan and one loop for every local model."""
