"""The whole site on one clock: jobs, faults, power and cooling of a GPU cluster, each of which may be left out."""
