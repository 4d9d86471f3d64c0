"""A recipe and pictures become a network."""
