"""What a site does to the jobs of a GPU cluster beside its discipline: nodes fall, jobs are slowed, or held back.

Everything else is as in hpcai.simulation.gpu_cluster.clock, whose functions these call on the same arrays.
"""
