"""What the files of a source mean: the label, the subset and the group of each picture."""
