"""The network that a posterior shows: edges, filters, discoveries, and how well they have mixed."""
