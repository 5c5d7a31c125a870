"""A GPU cluster shared by tenants: gangs, elastic jobs and services, classes and pre-emption, quotas, drains."""
