"""Packed vectors in generations, for serving."""
