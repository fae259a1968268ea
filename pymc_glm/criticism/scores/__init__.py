"""How well the model predicts: leave-one-out, held-out data, comparison of models."""
