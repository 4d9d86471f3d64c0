"""Image classifiers from a few hundred to a few thousand labelled pictures, every number reproducible."""
