"""Fills a shop's database: its past at once, then one business day after another."""
