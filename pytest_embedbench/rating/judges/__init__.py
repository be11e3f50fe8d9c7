"""Judges of pairs of rankings: judgments of relevance (qrels), a language model."""
