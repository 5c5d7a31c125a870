"""The network of a cluster: links, allreduce times, step times of training, and how jobs share links; no clock."""
