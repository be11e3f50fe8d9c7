"""Clients that send the requests of a load profile."""
