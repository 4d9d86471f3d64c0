"""Which pictures are good enough, and which subset each goes to."""
