"""What `import rllab` offers to scripts and notebooks; `rllab.__all__` says which names."""
