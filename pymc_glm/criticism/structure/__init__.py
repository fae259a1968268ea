"""Posteriors of blocks and latent positions of neurons."""
