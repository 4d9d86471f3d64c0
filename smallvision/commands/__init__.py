"""What a person runs, a file for each command of `smallvision`."""
