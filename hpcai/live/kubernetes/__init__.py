"""The adapter to Kubernetes: a scheduler extender that says on which node, a queue controller that says who is next."""
