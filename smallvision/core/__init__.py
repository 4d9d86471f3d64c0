"""What every room needs: errors with their exit codes, files that are never half-written, typed parameters."""
