"""What a network is worth, and why it answers as it does."""
