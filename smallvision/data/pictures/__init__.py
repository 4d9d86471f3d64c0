"""The pictures that split wrote: their manifest, decoding, loading and batches."""
