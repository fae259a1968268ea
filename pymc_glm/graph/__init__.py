"""What finds a network GLM in a PyMC graph and reads its data and its prior."""
