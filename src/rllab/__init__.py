"""rllab: reinforcement-learning experiments in one line."""
