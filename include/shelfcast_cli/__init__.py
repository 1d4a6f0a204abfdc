"""The product's command line: what needs no stand-in for the platform."""
