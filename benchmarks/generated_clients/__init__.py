"""Clients that were generated from the API's description, against a real server."""
