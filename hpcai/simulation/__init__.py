"""The two clocks: the compiled event loop and the SimPy simulation."""
