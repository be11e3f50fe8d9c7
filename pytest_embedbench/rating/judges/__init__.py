"""Judge pairs of rankings by relevance judgments (qrels) or by a language model."""
