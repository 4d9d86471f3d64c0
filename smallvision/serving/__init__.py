"""A trained network for others: pictures that people name, answers, export formats. No training."""
