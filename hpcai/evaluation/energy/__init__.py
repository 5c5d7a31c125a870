"""Energy of what was replayed: machines, cooling, money, carbon, by policy and by tenant."""
