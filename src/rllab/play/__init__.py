"""A trained policy at play: what plays it, shows it, exports it."""
