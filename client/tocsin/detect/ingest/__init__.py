"""Adapters: what a provider already logs, read as exchanges."""
