"""Clients of data providers: one HTTP client with its manners in `http`, one file per provider for what it serves."""
