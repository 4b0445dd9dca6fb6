"""Fast twins of what small networks do most, in C++. The loss in torch stays the truth: each is tested to equal it."""
