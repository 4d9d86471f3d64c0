"""Networks, and a trained one as files."""
