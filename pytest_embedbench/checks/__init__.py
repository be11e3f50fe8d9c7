"""Checks: rules over an evaluation, and the verdicts they give. They know neither pytest nor torch."""
