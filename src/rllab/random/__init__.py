"""Random streams, and the noise that explores."""
