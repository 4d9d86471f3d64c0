"""What the stages share: parameters, archives, pictures, networks, training, scores."""
