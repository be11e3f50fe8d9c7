"""Servers that speak OpenAI's HTTP interface: one client with retries, and what is asked through it."""
