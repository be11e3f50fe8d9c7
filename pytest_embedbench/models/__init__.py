"""Models: which one a name means, and how it turns texts into vectors."""
