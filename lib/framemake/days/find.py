"""Channels over days."""
