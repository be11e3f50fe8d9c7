"""Is a model, as loaded or as served, the model it claims to be? Probes that need no judgments and take seconds."""
