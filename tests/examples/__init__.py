"""Tests of the complete examples."""
