"""What a machine and its jobs draw: idle and dynamic power of nodes and GPUs, and what a power limit costs."""
