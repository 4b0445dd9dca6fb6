"""Networks of S sessions as one: every parameter carries a leading session axis."""
