"""The clock of a GPU cluster with gangs, pre-emption, elastic jobs and tenants."""
