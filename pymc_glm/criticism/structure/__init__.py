"""Structure behind the network: blocks and positions, aligned across draws."""
