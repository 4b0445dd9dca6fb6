"""Optimisers of S sessions, on flat parameters."""
