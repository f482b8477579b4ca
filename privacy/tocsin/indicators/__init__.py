"""Indicator types, their key classes and the canonical bytes that every member computes alike."""
