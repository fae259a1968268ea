"""The posterior network: edges, coupling filters, discoveries and their convergence."""
