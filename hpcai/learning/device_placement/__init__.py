"""Learning where the operators of a model run: a policy over many graphs, or over one."""
