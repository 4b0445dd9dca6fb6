"""The machine and this process: what there is, what runs, where a result comes from."""
