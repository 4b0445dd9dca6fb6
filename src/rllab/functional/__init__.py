"""Pure mathematics: returns, losses, schedules, per-session reductions."""
