"""Training: a trial, its sessions, the loop, evaluation."""
