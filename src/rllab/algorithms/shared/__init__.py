"""What several algorithms have in common, as plain settings and functions; none inherits from another."""
