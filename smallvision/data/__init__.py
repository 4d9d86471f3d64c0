"""From an archive of pictures to arrays: where pictures come from, how they are shared out, how they are read."""
