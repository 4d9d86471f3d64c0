"""What needs Ray: searches and answers to very many pictures, on one machine or a cluster."""
